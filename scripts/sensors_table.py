"""How sensors.py writes what it found: table.md, report.json, and every person's gain or loss."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from metatl.evaluation import compare
from metatl.lab import render, store
from metatl.lab.render.figure import FAINT, INK, LINE, RIGHT, WRONG, bare, blank
from metatl.lab.render.tables import p_value, plus_minus

FLOOR, MUCH = "source only", 2.0
ABOUT = (
    "HAPT, six activities, {people} of 25 people judged, {seeds} net{s} of {steps} steps a fold. A 1-D "
    "net (12k weights) of 20 people's labelled windows; the new person's one recording is there without "
    "labels, or with 1 or 5 labelled windows of each activity (five draws), the other judges; both ways "
    "round. Rows without a label: AdaBN: batch norm's moments from that recording; DANN, Deep CORAL: a "
    "net a person, learned with those windows beside the source, used with their moments; refitted: "
    "logistic regression on the source net's features; CORAL: the same at the target's covariance. "
    "Windows with labels: 10 steps of Adam on all weights, moments of those windows, of the whole recording "
    "(AdaBN) or the source's; or beside the source's windows in the logistic regression (refitted), each "
    "counting as so many of these. Values were chosen with the labels of five further "
    "people, for every row: no row's value is chosen by a label of who is judged, but those five people's"
    " labels are there. Over people: ± half of the 95 % interval (Student's t), paired tests to the "
    "source alone, p Holm-corrected over rows."
)


def write(
    out: Path, found: Mapping[int, Mapping[str, float]], values: Any, tried: Any, seeds: int, steps: int
) -> None:
    """Of the people so far; values: what each row chose of those that it tried."""
    rows = [*next(iter(found.values()))]
    by = {row: np.array([own[row] for own in found.values()]) for row in rows}
    others = [row for row in rows if row != FLOOR]
    tests = {row: compare.paired(by[row], by[FLOOR]) for row in others}
    p = dict(zip(others, compare.holm([tests[row].p for row in others]), strict=True))
    told = list[dict[str, Any]]()
    for row in rows:
        gain, mean = by[row] - by[FLOOR], compare.estimate(by[row])
        one: dict[str, Any] = {"row": row, "value": values[row], "accuracy": mean.mean, "ci95": mean.ci95}
        one |= {
            "worst_tenth": compare.worst_decile(by[row]),
            "by_person": dict(zip(found, by[row], strict=True)),
        }
        if len(tried[row]) > 1 and values[row] in (min(tried[row]), max(tried[row])):
            one["end"] = "lowest" if values[row] == min(tried[row]) else "highest"
        if row != FLOOR:
            one |= {"gain": tests[row].mean, "gain_ci95": tests[row].ci95, "p": p[row]}
            one |= {"harmed": int((gain < 0).sum()), "harmed_much": int((gain < -MUCH).sum())}
            one["most_harmed"] = {"person": [*found][int(gain.argmin())], "points": float(gain.min())}
        told.append(one)
    about = ABOUT.format(people=len(found), seeds=seeds, s="" if seeds == 1 else "s", steps=steps)
    store.make_folder(out)
    parts = ["# People as domains: without a label, or with a few", about, _table(told, len(found))]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    store.write_json(out / "report.json", compare.plain({"about": about, "rows": told}))
    store.write_atomic(out / "plot.png", render.png(picture(told, [*found])))


def _table(rows: list[dict[str, Any]], people: int) -> str:
    head = [
        "row",
        "value",
        "accuracy, %",
        f"to {FLOOR}",
        "p",
        "worst tenth",
        "harmed",
        "by over 2 points",
        "most",
    ]
    lines = [head, ["---", *["--:"] * (len(head) - 1)]]
    for row in rows:
        own = [
            row["row"],
            f"{row['value']:g}{' (' + row['end'] + ' tried)' if 'end' in row else ''}"
            if row["value"]
            else "",
            plus_minus(row["accuracy"], row["ci95"], 1),
        ]
        if row["row"] == FLOOR:
            lines.append([*own, "", "", f"{row['worst_tenth']:.1f}", "", "", ""])
            continue
        most = row["most_harmed"]
        own += [plus_minus(row["gain"], row["gain_ci95"], 1, "+"), p_value(row["p"])]
        own += [f"{row['worst_tenth']:.1f}", f"{row['harmed']} of {people}", str(row["harmed_much"])]
        lines.append([*own, f"person {most['person']}, {most['points']:+.1f}"])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def picture(rows: list[dict[str, Any]], people: list[int]) -> Figure:
    """A column a row of the table: a dot for each person, what the row gained over the source alone."""
    figure, others = blank(11.5, 6.2), [row for row in rows if row["row"] != FLOOR]
    floor = next(row for row in rows if row["row"] == FLOOR)["by_person"]
    axes = bare(figure.add_axes((0.08, 0.12, 0.89, 0.68)), keep=("left",))
    axes.axhline(0, color=INK, linewidth=1)
    axes.grid(axis="y", color=LINE, linewidth=0.6)
    shift = np.random.default_rng(0).uniform(-0.18, 0.18, len(people))
    for place, row in enumerate(others):
        gains = np.array([row["by_person"][person] - floor[person] for person in people])
        colours = [RIGHT if gain >= 0 else WRONG for gain in gains]
        axes.scatter(place + shift, gains, c=colours, s=22, alpha=0.75, linewidths=0)
        axes.plot([place - 0.3, place + 0.3], [row["gain"]] * 2, color=INK, linewidth=2)
        worst = int(gains.argmin())
        if gains[worst] < -MUCH:
            axes.annotate(
                f"{people[worst]}", (place + shift[worst], gains[worst]), xytext=(5, -3),
                textcoords="offset points", fontsize=8, color=WRONG,
            )  # fmt: skip
    axes.set_xticks(range(len(others)), [_broken(row["row"]) for row in others], fontsize=9)
    axes.set_ylabel("gain over the source alone, points", color=FAINT)
    figure.text(0.02, 0.93, "Who gains, and who is harmed", fontsize=17, fontweight="bold", color=INK)
    said = (
        f"HAPT, {len(people)} people, a dot each (harmed: orange, the most harmed by number); bar: the mean. "
        "Left of the windows: no label."
    )
    figure.text(0.02, 0.88, said, fontsize=10.5, color=FAINT)
    return figure


def _broken(row: str) -> str:
    """A row's name in lines that fit under its column."""
    return row.replace(", ", "\n").replace("'s ", "'s\n")
