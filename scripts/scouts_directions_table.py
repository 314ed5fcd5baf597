"""How scouts_directions.py writes what it found: table.md, report.json and plot.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, PALETTE, bare, blank
from metatl.lab.render.tables import p_value, plus_minus

ABOUT = (
    "A Conv4 of 16 filters (7,248 weights below its output layer), pre-trained on {source}; {nets} net{s}; "
    "{way}-way {shot}-shot tasks of {target} ({tasks}), 10 queries a class, inductive; 15 steps, a fresh "
    "output layer. Scouts: 5-way 5-shot tasks of {scouts} (256 but where the row says other), or -source: "
    "128 on the source's own sub-problems; 20 steps of SGD. -path, -fisher: directions of SGD that goes on "
    "on the source, of its Fisher information, as long as the scouts', from the scouts' E[d]. -maml: scouts "
    "and tasks start from MAML's weights (5-way 5-shot), not from pre-training. {counted} Values are chosen "
    "on 16 tasks of meta_val, row by row."
)
PAIRED = "Paired, ± half of the 95 % interval; p Holm-corrected over all comparisons."
ROWS = "Rows by accuracy; intervals and p below are over tasks alone, scores averaged over nets and draws."
BY_K = (("subspace-1", 1), ("subspace-4", 4), ("subspace-16", 16), ("subspace-64", 64), ("subspace-255", 255))
BY_SCOUTS = (
    ("subspace-of-32", 32),
    ("subspace-of-128", 128),
    ("subspace-255", 256),
    ("subspace-of-1024", 1024),
    ("subspace-of-4096", 4096),
)
FLAT = ("head-only", "mean-alone", "fine-tune", "mean-fine-tune")
Found = Mapping[str, Report]


def write(out: Path, found: Found, tests: Sequence[Mapping[str, Any]], about: str, title: str) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, the plot."""
    ordered = sorted(found.values(), key=lambda one: -one.mean)
    rows, protocol = compare.rows(ordered, "fine-tune", None), compare.protocol(ordered, "fine-tune", None)
    parts = ["# What scouts know beyond a diagonal", about, differences(tests), PAIRED, ROWS]
    parts.append(render.markdown(rows, protocol, times=False).strip())
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    made = {"about": about, "protocol": protocol, "rows": rows, "contrasts": tests}
    store.write_json(out / "report.json", made)
    store.write_atomic(out / "plot.png", render.png(_picture(found, title)))


def differences(tests: Sequence[Mapping[str, Any]]) -> str:
    """The comparisons as a table."""
    lines = [["row", "against", "difference, points", "p"], ["---", "---", "--:", "--:"]]
    lines += [
        [t["row"], t["against"], plus_minus(t["difference"], t["ci95"], 2, "+"), p_value(t["p"])]
        for t in tests
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _picture(found: Found, title: str) -> Figure:
    figure = blank(11, 4.8)
    for place, (points, name) in enumerate(
        ((BY_K, "directions (of 256 scouts)"), (BY_SCOUTS, "scouts (all their directions)"))
    ):
        axes = bare(figure.add_axes((0.07 + 0.47 * place, 0.13, 0.4, 0.7)), keep=("left", "bottom"))
        _panel(axes, found, points)
        axes.set_xlabel(name, color=FAINT)
        if not place:
            axes.set_ylabel("accuracy, %", color=FAINT)
            axes.legend(frameon=False, fontsize=8, loc="best")
    figure.text(0.07, 0.92, title, fontsize=14, fontweight="bold", color=INK)
    return figure


def _panel(axes: Axes, found: Found, points: Sequence[tuple[str, int]]) -> None:
    held = [(k, found[name]) for name, k in points if name in found]
    means, halves = ([100 * (getattr(one, what) or 0.0) for _, one in held] for what in ("mean", "ci95"))
    if held:
        axes.errorbar(
            [k for k, _ in held], means, yerr=halves, fmt="o-", color=PALETTE[0], label="mean + directions"
        )
        axes.set_xscale("log", base=2)
    for name, colour in zip(FLAT, PALETTE[1:], strict=False):
        if name in found:
            axes.axhline(
                100 * found[name].mean, color=colour, linestyle=(0, (4, 3)), linewidth=1.2, label=name
            )
