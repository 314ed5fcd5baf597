"""GTL on people: scouts are subsets of HAPT's training subjects. Does the guide beat its controls?

    METATL_DATA=../shared/data python scripts/hapt_gtl.py --out results/gtl-hapt

The protocol is hapt_personal.py's (and its runs are used where they are there): 9 official test people, three
nets, values chosen in folds of the 21 training people. Scouts are single people, or random groups of 3 or of
7; every guide stands beside its permutation, its layers' means and its mean. Resumable; 13 minutes of one
core after hapt_personal.py, 25 without it.

Expected: with 5 windows every difference within 0.4 points; with 1 window no guide above its controls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hapt_personal_table as tables
import study
import torch
from gtl_nets import CONTROLS
from hapt_personal import CONFIGS, SEEDS, tested
from hapt_personal_stats import NONE, PLAIN, contrasts, summaries
from matplotlib.figure import Figure
from tqdm import tqdm

from metatl.evaluation import compare
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, LINE, PALETTE, bare, blank

SHOTS = (1, 5)
GUIDES = ("gtl", "gtl-of-3", "gtl-of-7", "gtl-as-published")
OTHERS = ("kl-anchor", "l2-sp", "head-only", "fish-support")
PAIRS = [(own, other) for own in GUIDES for other in (*(f"{own}-{c}" for c in CONTROLS), PLAIN)]
PAIRS += [("gtl", "gtl-as-published")]
ABOUT = (
    "Scouts: the shared net, trained with SGD for 30 steps on the windows of one meta_train person (gtl), "
    "or of a random group of 3 (gtl-of-3) or of 7 (gtl-of-7); 42 of them. Mean squared displacement, "
    "min-max within each tensor, is the guide of Adam's update (gtl-as-published: of the gradient in front "
    "of Adam) when the net is adapted to each of the 9 official test people of HAPT. Protocol as in "
    "results/hapt-personal: values chosen in four folds of the 21 training people, {nets} nets of all 21, "
    "five draws a person; intervals and tests over people (Student's t, 8 degrees of freedom), p "
    "Holm-corrected over a column."
)


def main() -> None:
    parser = study.parser("GTL with scouts on subsets of the people of HAPT.", "results/gtl-hapt")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    paths = [*study.rows(CONFIGS.with_name("hapt-groups.yaml")).values()]
    others = (NONE, PLAIN, "gtl", *(f"gtl-{control}" for control in CONTROLS), *OTHERS)
    paths += [CONFIGS / name for name in others]
    found = dict[int, Any]()
    with tqdm(total=len(SHOTS) * len(paths)) as bar:
        for shot in SHOTS:
            for path in paths:
                bar.set_description(f"{shot} windows, {path.name}")
                found.setdefault(shot, {})[path.name] = tested(path, given.runs, shot)
                bar.update()
    write(Path(given.out), found)


def write(out: Path, found: dict[int, Any]) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, and a plot for each amount."""
    tests, summary = contrasts(found, PAIRS), {shot: summaries(of) for shot, of in found.items()}
    about = ABOUT.format(nets=len(SEEDS))
    methods = sorted(summary[5], key=lambda method: -summary[5][method]["accuracy"])
    parts = ["# GTL on HAPT: scouts on subsets of people", about, "## Does the guide beat its controls?"]
    parts += [tables.PAIRED, tables.differences(tests), "## Accuracy", tables.ACCURACY]
    parts += [tables.amounts(summary, methods, tables.accuracy), "## Who was harmed", tables.HARM]
    parts += [tables.amounts(summary, methods, tables.harm), "## By episodes", tables.CHOICE]
    by_shot: dict[str, Any] = {}
    for shot, of in found.items():
        reports = sorted((one.report for one in of.values()), key=lambda report: -report.mean)
        rows, protocol = compare.rows(reports, PLAIN, NONE), compare.protocol(reports, PLAIN, NONE)
        by_shot[str(shot)] = {"protocol": protocol, "rows": rows}
        parts += [
            f"### {tables.windows(shot)} per activity",
            render.markdown(rows, protocol, times=False).strip(),
        ]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    told = {"about": about, **by_shot["5"], "by_shot": by_shot, "people": summary, "contrasts": tests}
    store.write_json(out / "report.json", compare.plain(told))
    store.write_atomic(out / "plot.png", render.png(picture(tests)))


def picture(tests: Sequence[Mapping[str, Any]]) -> Figure:
    """Every guide's paired differences to its controls and to plain fine-tuning, a panel an amount."""
    figure = blank(11.6, 5.6)
    rows = [pair for pair in PAIRS if pair[0] in GUIDES and pair[1] != "gtl-as-published"]
    for place, shot in enumerate(SHOTS):
        axes = bare(figure.add_axes((0.25 + 0.38 * place, 0.11, 0.34, 0.7)), keep=("bottom",))
        axes.axvline(0, color=INK, linewidth=1)
        axes.grid(axis="x", color=LINE, linewidth=0.6)
        for row, (own, other) in enumerate(rows):
            test = next(t for t in tests if (t["shot"], t["method"], t["against"]) == (shot, own, other))
            y = -row - 0.7 * GUIDES.index(own)
            colour = PALETTE[GUIDES.index(own)]
            style: dict[str, Any] = dict(fmt="o", color=colour, markersize=6, linewidth=1.8)
            axes.errorbar(test["difference"], y, xerr=test["ci95"], **style)
            if not place:
                name = f"{own}  \N{MINUS SIGN}  {other.removeprefix(own + '-')}"
                axes.annotate(
                    name, (-0.03, y), xycoords=axes.get_yaxis_transform(), ha="right", va="center",
                    fontsize=10.5, color=colour, annotation_clip=False,
                )  # fmt: skip
        axes.set_yticks([])
        axes.set_title(f"{tables.windows(shot)} per activity", loc="left", fontsize=12, color=INK, pad=10)
        axes.set_xlabel("difference in points", color=FAINT)
    figure.text(0.02, 0.935, "Does the guide beat its controls?", fontsize=17, fontweight="bold", color=INK)
    told = (
        "HAPT, scouts on 1, 3 or 7 people; 9 test people, five draws each, three nets; 95 % t-intervals over"
    )
    figure.text(0.02, 0.89, f"{told} people, rates tuned for every arm.", fontsize=11, color=FAINT)
    return figure


if __name__ == "__main__":
    study.command(main)
