"""ILEA's 139 schools: is a school's exam score told better alone, from all schools, or by something between?

    METATL_DATA=<folder with ilea_school/> python scripts/schools.py [--seeds 5] [--minutes 50]

A task is a school (22 to 251 pupils, 27 columns, a score of 1 to 70). In each draw 60 % of a school's pupils
teach, 15 % choose (rates, steps and strengths, six values for every row), 25 % judge. All rows have the same
net, 27-32-1. Writes results/schools: root mean squared errors over all pupils that judge, the difference from
the pooled net in squared error (mean over schools, interval over schools of the means over draws), schools
harmed, and how many pupils lie in the 90 % intervals. Resumable: every row and draw has a file in
runs/schools.

Duration: about five minutes a draw on one thread, 25 for five; the same command goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import study
import torch
from pieces import Pieces, table, told
from school_nets import Schools
from school_rows import LEVELS, ROWS
from torch import Tensor

from metatl.evaluation.statistics import holm, paired
from metatl.lab import store

NORMAL = 1.6449
"""Of a normal value 90 % lie so many deviations from its mean."""


def cell(row: str, data: Schools, seed: int, steps: int) -> Mapping[str, Any]:
    """The run that is best on the rows that choose, judged: squared errors of schools, coverage of rows."""

    def off_by(told: Tensor, part: str) -> Tensor:
        return (data.y_of(part) - told[:, told.shape[1] // 2]) * data.spread

    runs = list(ROWS[row](data, seed, steps))
    costs = [float(off_by(run.of("val")[0], "val").square().mean()) for run in runs]
    best = int(np.argmin([cost if np.isfinite(cost) else np.inf for cost in costs]))
    said, cost = runs[best].said, costs[best]
    found, variance = runs[best].of("test")
    off = off_by(found, "test")
    school = data.school_of("test")
    each = [float(off[torch.from_numpy(school == one)].square().mean()) for one in range(data.count)]
    made: dict[str, Any] = {
        "selected": said,
        "val": cost,
        "rmse": float(off.square().mean().sqrt()),
        "mse": each,
    }
    y = data.y_of("test")
    if found.shape[1] > 1:
        low, high = found[:, 0], found[:, -1]
        below = (y[:, None] <= found).double().mean(0)
        made["below"] = below.tolist()
    elif variance is not None:
        half = NORMAL * variance[:, 0].double().sqrt()
        low, high = found[:, 0] - half, found[:, 0] + half
    else:  # of a model that says no spread: that of its own errors on the rows that choose
        half = NORMAL * cost**0.5 / data.spread
        low, high = found[:, 0] - half, found[:, 0] + half
    inside = ((y >= low) & (y <= high)).double().numpy()
    made |= {"coverage": 100 * float(inside.mean()), "width": float((high - low).mean()) * data.spread}
    made["coverages"] = [100 * float(inside[school == one].mean()) for one in range(data.count)]
    return made


def written(pieces: Pieces, missing: int) -> str:
    """The tables."""
    rows: list[list[str]] = []
    reference, ps = "pooled", list[float | None]()
    names = [row for row in ROWS if pieces.draws(row, reference)]
    for row in names:
        seeds = pieces.draws(row, reference)
        own, other = (pieces.values(one, "mse", seeds).mean(0) for one in (row, reference))
        apart = None if row == reference else paired(own, other)
        ps.append(None if apart is None else apart.p)
        rows.append([
            row, str(len(seeds)), told(pieces.values(row, "rmse", seeds), ".3f"),
            "" if apart is None else told(own - other), "",
            "" if apart is None else f"{100 * float((own > other).mean()):.0f}",
            told(pieces.values(row, "coverage", seeds), ".1f"),
            f"{pieces.values(row, 'width', seeds).mean():.1f}",
            f"{np.quantile(pieces.values(row, 'coverages', seeds).mean(0), 0.1):.0f}",
            f"{pieces.seconds(row):.0f}",
        ])  # fmt: skip
    for made, p in zip(rows, holm(ps), strict=True):
        made[4] = "" if p is None else f"{p:.3f}"
    heads = ["row", "draws", "RMSE, points", "squared error less pooled's", "p (Holm)", "schools harmed, %"]
    heads += ["in the 90 % interval, %", "its width", "least tenth of schools, %", "s"]
    note = (
        "Below 0 is better than pooled; the interval is over schools (Student's t over 139 means of the "
        "draws, which share pupils). RMSE: interval over draws. Rows without a spread of their own have the "
        "interval of their errors on the rows that choose. `least tenth`: 10 % of the schools have less."
    )
    lack = f"\n{missing} cells are missing: the same command goes on.\n" if missing else ""
    text = f"# ILEA's schools\n\n{note}\n{lack}\n{table(heads, rows)}"
    seeds = pieces.draws("quantiles")
    if seeds:
        below = pieces.values("quantiles", "below", seeds)
        shares = [[f"{level:g}", told(100 * below[:, i], ".1f")] for i, level in enumerate(LEVELS)]
        text += f"\nPupils at or below each quantile:\n\n{table(['level', 'share, %'], shares)}"
    return text


def main() -> None:
    parser = study.parser("Schools alone, together, and between.", "results/schools", "runs/schools")
    parser.add_argument("--seeds", type=study.count, default=5, help="draws of the pupils [5]")
    parser.add_argument(
        "--steps", type=study.count, default=1500, help="steps of what all schools teach [1500]"
    )
    parser.add_argument("--minutes", type=float, default=50.0, help="for this command [50]")
    given = parser.parse_args()
    held = np.load(study.data("ilea_school/ilea_school.npz"))
    x, y, school = (held[name] for name in ("x", "y", "task"))
    pieces = Pieces(Path(given.runs), f"steps {given.steps}", given.minutes)
    made: dict[int, Schools] = {}

    def make(row: str, seed: int) -> Mapping[str, Any]:
        data = made.setdefault(seed, Schools.drawn(x, y, school, seed))
        return cell(row, data, seed, given.steps)

    missing = pieces.fill(list(ROWS), given.seeds, make)
    store.make_folder(Path(given.out))
    store.write_text(Path(given.out) / "table.md", text := written(pieces, missing))
    print(text)


if __name__ == "__main__":
    study.command(main)
