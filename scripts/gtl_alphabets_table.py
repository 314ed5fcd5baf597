"""How gtl_alphabets.py writes what it found: table.md, report.json and the plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gtl_nets import CONTROLS
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, LINE, bare, blank
from metatl.lab.render.plots import FAMILIES
from metatl.lab.render.tables import p_value, plus_minus

BASELINES = ("fine-tune", "head-only", "prototypes", "l2-sp", "fish")
PAIRS = [
    *(("gtl", other) for other in (*BASELINES, *(f"gtl-{control}" for control in CONTROLS))),
    *(("gtl-level", other) for other in ("fine-tune", "gtl-level-permuted", "gtl-level-layer-mean")),
    *(("maml-gtl", other) for other in ("maml", "maml-head-only")),
    *(("maml-gtl", f"maml-gtl-{control}") for control in CONTROLS),
]
ABOUT = "Paired over the same episodes ({episodes}), 95 % intervals; p Holm-corrected within a setting."
NETS = (
    "Pre-trained nets and MAML initialisations (training seeds), each with its own scouts: {nets} of each; "
    "every episode's score is averaged over nets before differences and intervals are taken. Output layers "
    "of pre-trained nets start at zeros (prototypes: nearest class mean, no step), those of MAML are its "
    "own. Rates are chosen on meta-val for every row, net and setting. report.json has each net's difference."
)
FAR, NONE = "maml-head-only", "scratch"
"""So far behind that all others would be dots on a line; they stand in the table."""
Tests = Sequence[Mapping[str, Any]]


def write(out: Path, found: Mapping[str, Mapping[str, Report]], tests: Tests) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, the plots."""
    about = ABOUT.format(episodes=", ".join(f"{s}: {len(r['gtl'].scores)}" for s, r in found.items()))
    nets = len(next(iter(found.values()))["gtl"].facts["by_net"])
    parts = ["# GTL between alphabets", about, NETS.format(nets=nets), _table(tests, list(found))]
    rows, protocols = list[compare.Row](), dict[str, Any]()
    for setting, reports in found.items():
        ordered = sorted(reports.values(), key=lambda one: -one.mean)
        own, protocol = compare.rows(ordered, "fine-tune", NONE), compare.protocol(ordered, "fine-tune", NONE)
        protocols[setting] = protocol
        rows += [{**row, "method": f"{row['method']} ({setting})"} for row in own]
        parts += [f"## {setting}", render.markdown(own, protocol, times=False).strip()]
        near = [row for row in own if row["method"] not in (FAR, NONE)]
        store.write_atomic(out / f"plot-{setting}.png", render.png(render.benchmark_plot(near, protocol)))
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    first = next(iter(protocols.values()))
    made = {"about": about, "protocol": first, "protocols": protocols, "rows": rows, "contrasts": tests}
    store.write_json(out / "report.json", made)
    store.write_atomic(out / "plot.png", render.png(_picture(tests, list(found), about)))


def _table(tests: Tests, settings: Sequence[str]) -> str:
    lines = [["guide", "against", *settings], ["---", "---", *["--:"] * len(settings)]]
    for a, b in PAIRS:
        cells = [t for t in tests if (t["guide"], t["against"]) == (a, b)]
        said = [f"{plus_minus(t['difference'], t['ci95'], 2, '+')} (p {p_value(t['p'])})" for t in cells]
        lines.append([a, b, *said])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _picture(tests: Tests, settings: Sequence[str], about: str) -> Figure:
    """Every comparison's difference with its interval, a panel a setting."""
    figure, width = blank(13.6, 6.6), 0.77 / len(settings)
    for column, setting in enumerate(settings):
        axes = bare(figure.add_axes((0.215 + column * width, 0.07, width - 0.015, 0.74)), keep=("bottom",))
        own = [t for t in tests if t["setting"] == setting and t["against"] != FAR]
        _panel(axes, own, names=column == 0)
        axes.set_title(setting, loc="left", fontsize=12, fontweight="bold", color=INK)
    title = "GTL on held-out alphabets: points above what it must beat"
    figure.text(0.02, 0.94, title, fontsize=16, fontweight="bold", color=INK)
    figure.text(0.02, 0.895, f"{about} Filled: p < 0.05.", fontsize=10, color=FAINT)
    return figure


def _panel(axes: Axes, tests: Tests, names: bool) -> None:
    for place, test in enumerate(tests):
        sure = compare.shown(test["p"])
        colour = FAMILIES["guided"] if sure and test["difference"] > 0 else INK if sure else FAINT
        face = colour if sure else "white"
        look: dict[str, Any] = dict(fmt="o", color=colour, markersize=6, linewidth=1.8, markerfacecolor=face)
        axes.errorbar(test["difference"], -place, xerr=test["ci95"], **look)
    axes.axvline(0, color=INK, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
    labels = [f"{t['guide']}  −  {t['against']}" for t in tests] if names else []
    axes.set_yticks([-place for place in range(len(tests))] if names else [], labels)
    axes.tick_params(axis="y", labelsize=10, labelcolor=INK)
    axes.set_ylim(-len(tests) + 0.4, 0.6)
    axes.grid(axis="x", color=LINE, linewidth=0.6)
