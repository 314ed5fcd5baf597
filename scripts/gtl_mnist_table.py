"""How gtl_mnist.py writes what it found: table.md, report.json and the plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank
from metatl.lab.render.tables import p_value, plus_minus

LEVELS = (0.01, 0.05, 0.1, 0.5)
STARTS = {"pretrain": "1,000 MNIST images", "pretrain-full": "59,000 MNIST images"}
GUIDES = {
    "gtl": "1,000 images, min-max in every tensor",
    "gtl-global": "1,000 images, min-max over all weights",
    "full-gtl": "59,000 images, min-max in every tensor",
}
REPORTED = {
    "fine-tune": "16 (blog)",
    "gtl": "20 (blog), about 25 (paper)",
    "gtl-as-published": "20 (blog), about 25 (paper)",
    "gtl-global": "20 (blog), about 25 (paper)",
    "full-fine-tune": "21 (blog)",
}
ABOUT = (
    "A small CNN is pre-trained on MNIST; 120 scouts, one for each subset of three digits, make the guide; "
    "then 100 Omniglot characters are learned from one image each and told apart on 19 others each. Methods "
    "named full-* start from 59,000 images, scratch from none, all others from 1,000. {nets} pre-trained "
    "nets (seeds 0 to {last}), each with {draws} draws of 100 meta_test characters of its own, the same for "
    "all methods; intervals are over the {episodes} draws. The nets' accuracy on MNIST's test images: "
    "{digits}."
)
RULES = (
    "The output layer is fresh in every scout and every task: it starts at zero and its guide is 1. 300 "
    "steps of Adam, full batch. Every method chooses its rate from one grid (head-only from a higher one, "
    "gtl-scaled from a lower one, L2-SP its pull as well), on 3 draws of meta_val characters, net by net. In "
    "gtl the guide scales Adam's update, in as-published the gradient in front of it; scaled: the guide "
    "times 6.4, which makes its mean {scaled} by net. FISH moves as many weights below the output layer as "
    "the guide adds up to, net by net."
)
LEGEND = (
    "Difference: mean over draws, ± half of the 95 % interval; p: paired t-test over draws, Holm-corrected "
    "over all comparisons; by net: the same difference for each pre-trained net alone."
)
BESIDE = (
    "Reported elsewhere: one run each, at the best epoch by the very images that are reported, no interval; "
    "net, optimiser and output layer are not told there, nor, for the paper, the number of characters."
)


def write(
    out: Path,
    whole: Mapping[str, Report],
    tests: Sequence[dict[str, Any]],
    digits: Mapping[str, Sequence[float]],
    seen: Mapping[str, Sequence[dict[str, Any]]],
) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, plot.png and guides.png."""
    ordered = sorted(whole.values(), key=lambda found: -found.mean)
    nets, episodes = len(digits["pretrain"]), len(ordered[0].scores)
    rows = compare.rows(ordered, "fine-tune", "scratch")
    protocol = compare.protocol(ordered, "fine-tune", "scratch") | {"nets": nets}
    told = "; ".join(f"{_values(digits[key])} % after {name}" for key, name in STARTS.items())
    counts = {"nets": nets, "last": nets - 1, "episodes": episodes, "draws": episodes // nets}
    about = ABOUT.format(**counts, digits=told)
    rules = RULES.format(scaled=_values([6.4 * own["all"]["mean"] for own in seen["gtl"]], ".2f"))
    parts = ["# GTL from MNIST to Omniglot", about, rules]
    parts += ["## Does the guide beat its controls?", _tests(tests), LEGEND]
    parts += ["## Beside what was reported", _reported(whole), BESIDE]
    parts += [
        "## Accuracy",
        render.markdown(rows, protocol, times=False).strip(),
        "## What the guides look like",
    ]
    parts += [_guides(seen), "Means over nets; weights below the output layer."]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    found = {"about": f"{about} {rules}", "protocol": protocol, "rows": rows, "contrasts": list(tests)}
    guides = {name: list(shapes) for name, shapes in seen.items()}
    store.write_json(out / "report.json", {**found, "digits": dict(digits), "guides": guides})
    store.write_atomic(out / "plot.png", render.png(render.benchmark_plot(rows, protocol)))
    store.write_atomic(out / "guides.png", _picture(seen))


def _table(head: Sequence[str], body: Sequence[Sequence[str]], words: int) -> str:
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])


def _values(values: Sequence[float], form: str = ".1f") -> str:
    return ", ".join(format(value, form) for value in values)


def _verdict(test: dict[str, Any]) -> str:
    if not compare.shown(test["p"]):
        return "not shown"
    return "yes" if test["difference"] > 0 else "worse"


def _tests(tests: Sequence[dict[str, Any]]) -> str:
    body = [
        [
            *(test["method"], test["against"], _verdict(test)),
            *(plus_minus(test["difference"], test["ci95"], 2, "+"), p_value(test["p"])),
            _values(test["by_net"], "+.2f"),
        ]
        for test in tests
    ]
    return _table(["method", "against", "better", "difference, points", "p", "by net"], body, 3)


def _reported(whole: Mapping[str, Report]) -> str:
    body = [
        [name, plus_minus(mean.mean, mean.ci95, 1), _values(own.facts["by_net"]), REPORTED[name]]
        for name, own, mean in ((n, own, compare.estimate(100 * own.scores)) for n, own in whole.items())
        if name in REPORTED
    ]
    return _table(["method", "here, %", "by net", "reported elsewhere, %"], body, 1)


def _guides(seen: Mapping[str, Sequence[dict[str, Any]]]) -> str:
    body: list[list[str]] = []
    for name, shapes in seen.items():
        for tensor in shapes[0]:
            mean = {key: float(np.mean([own[tensor][key] for own in shapes])) for key in _KEYS}
            shares = [f"{100 * mean[f'below_{level:g}']:.0f}" for level in LEVELS]
            numbers = [f"{mean['mean']:.3f}", f"{mean['median']:.3f}", f"{mean['skewness']:.1f}"]
            body.append([GUIDES[name], tensor, f"{mean['weights']:,.0f}", *numbers, *shares])
    head = ["guide of", "tensor", "weights", "mean", "median", "skewness"]
    return _table([*head, *(f"below {level:g}, %" for level in LEVELS)], body, 2)


_KEYS = ("weights", "mean", "median", "skewness", *(f"below_{level:g}" for level in LEVELS))


def _picture(seen: Mapping[str, Sequence[dict[str, Any]]]) -> bytes:
    figure = blank(9.6, 5.4)
    axes = bare(figure.add_axes((0.08, 0.12, 0.88, 0.7)), keep=("bottom", "left"))
    for colour, (name, shapes) in zip(PALETTE, seen.items(), strict=False):
        share = 100 * np.mean([own["all"]["histogram"] for own in shapes], axis=0)
        edges = np.linspace(0, 1, len(share) + 1)
        axes.stairs(share, edges, color=colour, linewidth=2, label=GUIDES[name])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g} %")
    axes.set_xlim(0, 1)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    axes.set_xlabel("guide of the weight", color=FAINT)
    axes.legend(frameon=False, labelcolor=INK, fontsize=10.5)
    figure.text(0.03, 0.935, "How guides spread over the weights", fontsize=14, fontweight="bold", color=INK)
    told = "Share of the weights below the output layer in each fortieth of [0, 1]; mean over nets"
    figure.text(0.03, 0.885, told, fontsize=9.5, color=FAINT)
    return render.png(figure)
