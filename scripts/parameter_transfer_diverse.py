"""Table and picture of sources that are more or less diverse, from the report of what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.statistics import Estimate, estimate, holm, paired, shown
from metatl.lab import store
from metatl.lab.render import png
from metatl.lab.render.figure import PALETTE, bare, blank

RANDOM = "random"
Scores = Mapping[tuple[str, int], Mapping[str, NDArray[np.float64]]]
"""By method and labels of each class, by source, accuracy in percent of every split."""


def scores(report: Mapping[str, Any]) -> Scores:
    """Of the splits of which every source has all of its draws."""
    cells: dict[tuple[str, int], dict[str, dict[int, float]]] = {}
    for row in report["rows"]:
        own = cells.setdefault((row["method"], row["labelled"]), {}).setdefault(row["source"], {})
        if row["draws"] == report["draws"] and row["score"] is not None:
            own[row["split"]] = row["score"]
    found = dict[tuple[str, int], dict[str, NDArray[np.float64]]]()
    for at, by_source in cells.items():
        whole = sorted(set.intersection(*(set(own) for own in by_source.values())))
        if whole:
            found[at] = {name: np.array([own[place] for place in whole]) for name, own in by_source.items()}
    return found


def compared(found: Scores) -> list[dict[str, Any]]:
    """Sources beside the most diverse one, and that beside the control, paired in splits: method, one, other.

    Accuracy is the mean over the numbers of labels; p is Holm-corrected over all of these comparisons.
    """
    rows = list[dict[str, Any]]()
    for method in dict.fromkeys(method for method, _ in found):
        cells = [by_source for (name, _), by_source in found.items() if name == method]
        if len({len(own) for by_source in cells for own in by_source.values()}) > 1:
            continue  # splits of which some numbers of labels alone are done
        mean = {name: np.mean([by_source[name] for by_source in cells], axis=0) for name in cells[0]}
        most = max((name for name in mean if name != RANDOM), key=int)
        pairs = [(name, most) for name in mean if name not in (most, RANDOM)]
        pairs += [(most, RANDOM)] if RANDOM in mean else []
        rows += [
            {"method": method, "one": one, "other": other, "found": paired(mean[one], mean[other])}
            for one, other in pairs
            if len(mean[one]) > 1
        ]
    for row, p in zip(rows, holm([row["found"].p for row in rows]), strict=True):
        row["p"] = p
    return rows


def table(report: Mapping[str, Any]) -> str:
    """Accuracies by source, and the differences."""
    found, splits = scores(report), len(report["splits"])
    if not found:
        return "No split has all of its draws yet: give more `--minutes`.\n"
    names = list(next(iter(found.values())))
    told = (
        f"ResNet-20, {report['steps']} steps on {report['pictures']:,} pictures of as many classes as the "
        f"column says, on to two others: {report['draws']} draws of the labelled pictures, "
        f"{report['judging']} that judge. Accuracy in percent: mean over splits of the classes and its 95 % "
        f"interval (Student's t). {splits} split{'s' * (splits > 1)}, whose sources share classes, so that "
        "intervals are rather short; random: weights that learned nothing."
    )
    lines = [
        told,
        "",
        f"| method | labels of each class | {' | '.join(names)} | splits |",
        f"| --- | --: |{' --: |' * len(names)} --: |",
    ]
    for (method, labelled), by_source in found.items():
        cells = " | ".join(_mean(estimate(own)) for own in by_source.values())
        lines.append(f"| {method} | {labelled} | {cells} | {len(next(iter(by_source.values())))} |")
    if less := lacking(report, found):
        lines += ["", f"Draws are missing of {', '.join(less)}: give more `--minutes`."]
    lines += ["", "Differences in points, mean over the numbers of labels, paired in splits; p by Holm.", ""]
    lines += ["| method | classes | difference | p | |", "| --- | --- | --: | --: | --- |"]
    for row in compared(found):
        value, p = row["found"], row["p"]
        said = "" if p is None else f"{p:.3f}"
        which = f"{row['one']} minus {row['other']}"
        lines.append(f"| {row['method']} | {which} | {_signed(value)} | {said} | {verdict(value, p)} |")
    return "\n".join(lines) + "\n"


def lacking(report: Mapping[str, Any], found: Scores) -> list[str]:
    """The rows of which some splits are left out, with the number of those that are in the table."""
    cells, splits = (
        dict.fromkeys((row["method"], row["labelled"]) for row in report["rows"]),
        report["splits"],
    )
    counts = {at: len(next(iter(found[at].values()))) if at in found else 0 for at in cells}
    return [
        f"{method} at {labelled} ({n} of {len(splits)} splits are whole)"
        for (method, labelled), n in counts.items()
        if n < len(splits)
    ]


def plainly(report: Mapping[str, Any]) -> str:
    """What was found of the least and the most diverse source, in a sentence for each method."""
    fewest = min((row["source"] for row in report["rows"] if row["source"] != RANDOM), key=int)
    rows = [row for row in compared(scores(report)) if row["one"] == fewest]
    return "".join(
        f"- {row['method']}: from {row['one']} classes instead of {row['other']}, {_signed(row['found'])} "
        f"points: {verdict(row['found'], row['p'])}.\n"
        for row in rows
    )


def verdict(value: Estimate, p: float | None) -> str:
    """Whether a difference is shown."""
    if not shown(p):
        return "not told apart"
    return "better" if value.mean > 0 else "worse"


def _mean(value: Estimate) -> str:
    return f"{value.mean:.1f}" + ("" if value.ci95 is None else f" ± {value.ci95:.1f}")


def _signed(value: Estimate) -> str:
    return f"{value.mean:+.1f}" + ("" if value.ci95 is None else f" ± {value.ci95:.1f}")


def plot(report: Mapping[str, Any], path: Path) -> None:
    """A panel for each method, a line for each number of labels, a dot for each split."""
    found = scores(report)
    if not found:
        return
    methods = list(dict.fromkeys(method for method, _ in found))
    figure = blank(3.6 * len(methods), 3.4)
    low = min(own.min() for by_source in found.values() for own in by_source.values())
    for place, method in enumerate(methods):
        axes = bare(figure.add_subplot(1, len(methods), place + 1), keep=("left", "bottom"))
        some = {labelled: by_source for (name, labelled), by_source in found.items() if name == method}
        for colour, (labelled, by_source) in zip(PALETTE, some.items(), strict=False):
            at, each = np.arange(len(by_source)), list(by_source.values())
            shift = 0.08 * (list(some).index(labelled) - (len(some) - 1) / 2)
            mean = np.array([own.mean() for own in each])
            learned = np.array([name != RANDOM for name in by_source])  # the control is no point of the line
            axes.plot((at + shift)[learned], mean[learned], "-o", color=colour, label=f"{labelled}", ms=5)
            axes.plot((at + shift)[~learned], mean[~learned], "o", color=colour, ms=5)
            for x, own in zip(at + shift, each, strict=True):
                axes.plot([x] * len(own), own, "o", color=colour, alpha=0.35, ms=3)
        axes.set(title=method, xlabel="classes of the source", ylim=(low - 2, 100))
        axes.set_xticks(range(len(next(iter(some.values())))), list(next(iter(some.values()))))
        if not place:
            axes.set_ylabel("accuracy, %")
            axes.legend(title="labels of each class", frameon=False, fontsize=8, title_fontsize=8)
    figure.tight_layout()
    store.write_atomic(path, png(figure))


def write(folder: Path) -> str:
    """table.md and plot.png beside the report; what the table says."""
    report = store.read_json(folder / "report.json")
    said = table(report)
    store.write_text(folder / "table.md", said)
    plot(report, folder / "plot.png")
    return plainly(report) + "\n" + said
