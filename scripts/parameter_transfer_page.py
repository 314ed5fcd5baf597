"""README.md of parameter transfer, from the reports: which row is best where, how sure, at what price."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import parameter_transfer_diverse as diverse
import parameter_transfer_methods as methods

from metatl.evaluation.statistics import shown
from metatl.lab import store
from metatl.transferring.backbone import Backbone, backbone

HEAD = """# Parameter transfer: all rows side by side, and which pre-training

    METATL_DATA=<folder with cifar10/ and hymenoptera/> python scripts/parameter_transfer.py
"""
BEST = """
## Which row is best where, and how sure

Best is by the difference to logistic regression on frozen features, on the same draws. It was found on the
pictures that judge, as the best of so many rows: its own accuracy is too high for that. p is Holm-corrected
over the rows at one number of labels; told apart is what has p < 0.05. Rows with fewer than three draws are
left out here, but for all labels, where the interval is over the pictures that judge alone. `-tuned`: a row
that moves the body, at the rate that was best on the other data, its other values as documented;
`-at-defaults` chose no value, the others chose theirs by the labelled pictures.

| data | labels | rows | best | accuracy, % | minus logistic regression | p | told apart: better | worse |
| --- | --: | --: | --- | --- | --- | --: | --- | --: |
"""
COST = """
## What it costs

Weights moved with so many classes (what a row chooses by its labelled pictures, as a mask does, counts as
moved), and seconds of a draw with 5 and with all labels, to choose, fit and predict, on the machine that made
the tables. Features of frozen nets are made once and are not in it.

"""
SOURCES = """
## Which pre-training: does a less diverse source transfer worse?

Common wisdom says so; of pre-training without labels it was published that it may not.

"""
Values = Mapping[str, Any]


def write(out: Path, targets: Sequence[str], rates: str) -> None:
    """The page; rates: what is said of them."""
    reports = {name: out / name / "report.json" for name in targets}
    held = {name: store.read_json(file) for name, file in reports.items() if file.is_file()}
    said = HEAD + "\n" * bool(held) + "".join(f"- {setting(name, report)}\n" for name, report in held.items())
    if held:
        said += BEST + "\n".join(line for name, report in held.items() for line in best(name, report))
        said += f"\n\n{rates}\n"
        said += COST + "\n".join(costs(held)) + "\n"
        said += "".join(f"\n![{name}]({name}/plot.png)\n" for name in held)
    if (out / "diversity" / "report.json").is_file():
        said += SOURCES + diverse.write(out / "diversity") + "\n![diversity](diversity/plot.png)\n"
    store.write_text(out / "README.md", said)


def setting(name: str, report: Values) -> str:
    """Data, net and numbers of a report."""
    told = report["protocol"]
    nothing = ", ".join(methods.serving(_net(report), len(told["classes"]))[1])
    return (
        f"[{name}]({name}/table.md): {told['net']} {told['input']}, {len(told['classes'])} classes, "
        f"{told['labelled_rows']} labelled pictures, {told['judging_rows']} that judge, at most "
        f"{told['draws']} draws.{f' No layer for: {nothing}.' if nothing else ''}"
    )


def best(name: str, report: Values) -> Iterable[str]:
    """A line for each number of labels."""
    told = report["protocol"]
    asked = len({row["method"] for row in (*report["rows"], *told["missing"])})
    for k in told["labelled"]:
        own = [row for row in report["rows"] if row["labelled"] == k and row["ci95"] is not None]
        sure = [row for row in own if shown(row["p"])]
        above = [row["method"] for row in sure if row["difference"] > 0]
        some = [row for row in own if row["difference"] is not None]
        if not some:
            yield f"| {name} | {k} | {len(own)} of {asked} | – | | | | | |"
            continue
        top = max(some, key=lambda row: row["difference"])
        if top["difference"] <= 0:
            told = f"{len(own)} of {asked} | none above logistic regression"
            yield f"| {name} | {k} | {told} | | | | | {len(sure)} |"
            continue
        draws = f"{top['draws']} draw{'s' * (top['draws'] > 1)}"
        p = "" if top["p"] is None else f"{top['p']:.3f}"
        yield (
            f"| {name} | {k} | {len(own)} of {asked} | {top['method']} "
            f"| {_interval(top['score'], top['ci95'])}, {draws} "
            f"| {_interval(top['difference'], top['difference_ci95'], '+')} | {p} "
            f"| {', '.join(above) or 'none'} | {len(sure) - len(above)} |"
        )


def _interval(value: float, ends: Sequence[float] | None, sign: str = "") -> str:
    return f"{value:{sign}.1f}" + ("" if ends is None else f" [{ends[0]:.1f}, {ends[1]:.1f}]")


def costs(held: Mapping[str, Values]) -> Iterable[str]:
    """A line for each row of any report."""
    moved = {name: _moved(report) for name, report in held.items()}
    names = [f"{name}: {what}" for name in held for what in ("weights moved", "s, 5 labels", "s, all")]
    yield f"| method | family | {' | '.join(names)} |"
    yield f"| --- | --- |{' --: |' * len(names)}"
    for method in dict.fromkeys(row["method"] for report in held.values() for row in report["rows"]):
        cells = [methods.known(method).family]
        for name, report in held.items():
            own = {row["labelled"]: row["seconds"] for row in report["rows"] if row["method"] == method}
            cells += [moved[name].get(method, "")]
            cells += [f"{own[k]:.2g}" if k in own else "" for k in (5, "all")]
        yield f"| {method} | {' | '.join(cells)} |"


def _moved(report: Values) -> dict[str, str]:
    """By row of a report, how many weights it moves."""
    net, outputs, found = _net(report), len(report["protocol"]["classes"]), dict[str, str]()
    for name in dict.fromkeys(row["method"] for row in report["rows"]):
        row = methods.known(name)
        found[name] = f"{methods.moved(net, row, outputs):,}" if row.moves == "body" else "output layer"
    return found


def _net(report: Values) -> Backbone:
    told = report["protocol"]
    return backbone(told["net"], told["preparation"]["size"])
