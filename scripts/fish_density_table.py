"""How fish_density.py writes what it found: table.md, report.json and plot.png."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import fish_density_plot
from fish_density_numbers import HEAD, PLAIN, contrasts, lookup, summary, within

from metatl.evaluation import compare
from metatl.lab import render, store
from metatl.lab.render.tables import p_value, plus_minus

ORDER = ("fish-support", "fish-support-true", "fish-source", "fish-source-true", "magnitude", "random")
TITLES = {"omniglot": "Omniglot", "hapt": "HAPT"}
SETTING = {
    "omniglot": (
        "5-way 1-shot on Omniglot characters, from a net (Conv4, 32 filters) that was trained on MNIST "
        "digits. From a net trained on characters, moving the body gains nothing at 1 shot "
        "(results/omniglot-quick); from digits it does. Source data: MNIST's training images."
    ),
    "hapt": (
        "HAPT, 1 labelled window for each of 6 activities of one of a person's two recordings, scored on "
        "the other recording. The net (Conv1d, 32 filters) was trained on 3 people: trained on 10, it "
        "leaves moving the body nothing to gain over the output layer. Rates are chosen on 12 people; the "
        "test is on 15 others, 12 draws each, and people, not draws, are the units of intervals and tests. "
        "Source data: the 3 people's windows."
    ),
}
ONE = "One net was trained for all arms: intervals are over {unit}, not over trainings."
MASKS = (
    "fish-support: largest Fisher information of the task's own support set, behind the output layer that "
    "the task starts with (a ridge layer where that is zeros); fish-source: of source examples, behind the "
    "output layer that was pre-trained. Empirical, with the true labels; -true: labels from the model, all "
    "classes weighed by their probability. random: drawn anew for every task; magnitude: the largest "
    "weights. All masks are taken once, at the start, over the whole body together, and act on Adam's "
    "update: what is not in the mask keeps its bits."
)
BUDGET = (
    "Density: share of the body's {body:,} weights that may move. The output layer ({head} weights of a "
    "task) always moves, is not ranked, and counts in the published budget (Sung, Nair & Raffel 2021: k = "
    "int(keep * all weights) - output layer), so a density d stands for keep = (d * {body:,} + {head}) / "
    "{all:,}, given below each density. Under keep = {least:.2f} % the published rule leaves no weight of "
    "this small net."
)
TESTS = (
    "Cells: difference in points ± half of its 95 % interval, p; paired over the {count} {unit} (t-test), p "
    "Holm-corrected over all {tests} cells."
)
ACCURACY = "Accuracy in %, mean over {unit} ± half of its 95 % interval; at 100 % every mask is fine-tuning."
SGD = (
    "Adam moves every weight about equally far, however large its gradient. The same arms with SGD, every "
    "rate chosen anew:"
)
BYTES = (
    "Five adapted models of every arm, written by `Personal.save_delta` and read back: every weight came "
    "back bit by bit (checked in the run). Numbers: weights that differ from the base{moments}. Bytes a "
    "number: the whole file / without its header (names, hashes, counts: the same few hundred bytes at any "
    "density). half: 16 bits a change. Means over tasks; the last column is the worst of all masks. The "
    "whole model is {whole:,} bytes."
)
SETTLED = ", and {moments:.0f} running moments of batch norms, which stand for the support rows"


def write(out: Path, data: str, found: tuple[Sequence[Any], Sequence[Any]], body: int, head: int) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, plot.png; found: Adam's, SGD's."""
    points, others = found
    (by, shares), unit = lookup(points), "people" if data == "hapt" else "episodes"
    tests, again = contrasts(points), contrasts(others)
    told = {"count": len(points[0].units), "unit": unit, "tests": len(tests)}
    sizes = {"body": body, "head": head, "all": body + head, "least": 100 * head / (body + head)}
    reports = [_named(point) for point in points] + [_named(point, " (SGD)") for point in others]
    reports = sorted(reports, key=lambda report: -report.mean)
    rows, protocol = compare.rows(reports, PLAIN), compare.protocol(reports, PLAIN, None)
    parts = [f"# FISH on {TITLES[data]}", SETTING[data], MASKS, BUDGET.format(**sizes), ONE.format(unit=unit)]
    parts += ["## Does it matter which weights move?", TESTS.format(**told), _tests(tests)]
    parts += ["## Accuracy by density", ACCURACY.format(unit=unit), _accuracy(points)]
    if others:
        parts += ["## With plain SGD", SGD, _accuracy(others)]
        parts += [TESTS.format(**{**told, "tests": len(again)}), _tests(again)]
    parts += ["## What a personalised model costs to store", _about(by, body + head), _bytes(by, shares)]
    parts += ["## By episodes", render.markdown(rows, protocol, times=False).strip()]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    shape = f"{protocol['way']}-way {protocol['shot']}-shot"
    curve = [
        {**summary(point, by[PLAIN, 1.0]), "within_ci95": half}
        for point, half in zip(points, within([point.units for point in points]), strict=True)
    ]
    told = {"protocol": protocol, "rows": rows, "points": curve, "contrasts": tests, **sizes, "unit": unit}
    told |= {"sgd_contrasts": again}
    store.write_json(out / "report.json", compare.plain(told))
    store.write_atomic(out / "plot.png", render.png(fish_density_plot.plot(data, curve, body + head, shape)))


def _named(point: Any, rule: str = "") -> Any:
    """The report under a name that says its density."""
    name = point.mask + ("" if point.mask in (PLAIN, HEAD) else f" {100 * point.share:g} %") + rule
    facts = {**point.report.facts, "density": point.share, "keep": point.keep, "delta": point.delta}
    return replace(point.report, method=name, facts=facts)


def _grid(head: Sequence[str], body: Sequence[Sequence[str]], words: int) -> str:
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])


def _percent(share: float) -> str:
    return f"{100 * share:g} %"


def _tests(tests: Sequence[dict[str, Any]]) -> str:
    shares = sorted({test["density"] for test in tests})
    cells: dict[tuple[str, str], list[str]] = {}
    for test in tests:
        said = f"{plus_minus(test['difference'], test['ci95'], 2, '+')}, p {p_value(test['p'])}"
        cells.setdefault((test["mask"], test["against"]), []).append(said)
    return _grid(["mask", "against", *map(_percent, shares)], [[*p, *said] for p, said in cells.items()], 2)


def _accuracy(points: Sequence[Any]) -> str:
    by, shares = lookup(points)
    masks = [mask for mask in ORDER if (mask, shares[0]) in by]

    def cell(mask: str, share: float) -> str:
        found = compare.estimate(by[mask, share].units)
        return plus_minus(found.mean, found.ci95)

    body = [["keep", *(f"{100 * by[masks[0], share].keep:.2f} %" for share in shares)]]
    body += [[mask, *(cell(mask, share) for share in shares)] for mask in masks]
    body += [[mask, cell(mask, shares[0]), *[""] * (len(shares) - 1)] for mask in (HEAD, PLAIN)]
    return _grid(["mask", *map(_percent, shares)], body, 1)


def _about(by: Any, weights: int) -> str:
    moments = max(point.delta["moments"] for point in by.values())
    return BYTES.format(moments=SETTLED.format(moments=moments) if moments else "", whole=4 * weights)


def _bytes(by: Any, shares: Sequence[float]) -> str:
    def a_number(delta: dict[str, float], precision: str, header: bool = True) -> float:
        counted = delta[f"{precision}_bytes"] - (0 if header else delta[f"{precision}_header"])
        return counted / (delta["weights"] + delta["moments"])

    def line(label: str, delta: dict[str, float], all_masks: Sequence[dict[str, float]]) -> list[str]:
        def pair(p: str) -> str:
            return f"{a_number(delta, p):.2f} / {a_number(delta, p, False):.2f}"

        numbers = [f"{delta['weights']:,.0f}", f"{delta['exact_bytes']:,.0f}", pair("exact")]
        worst = max(a_number(one, "exact") for one in all_masks)
        return [label, *numbers, f"{delta['half_bytes']:,.0f}", pair("half"), f"{worst:.2f}"]

    ends = [(HEAD, by[HEAD, shares[0]].delta), (f"{PLAIN}, 100 %", by[PLAIN, shares[0]].delta)]
    body = [line(ends[0][0], ends[0][1], [ends[0][1]])]
    for share in shares:
        same = [by[mask, share].delta for mask in ORDER]
        body.append(line(f"fish-support, {_percent(share)}", by["fish-support", share].delta, same))
    body.append(line(ends[1][0], ends[1][1], [ends[1][1]]))
    head = [
        "arm",
        "weights changed",
        "bytes",
        "bytes a number",
        "bytes, half",
        "bytes a number, half",
        "worst",
    ]
    return _grid(head, body, 1)
