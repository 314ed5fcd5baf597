"""Stars: count the points and tell the size, from pictures that are drawn on the spot.

    python scripts/stars.py [--seeds 5] [--steps 600] [--minutes 50]

Every picture (32 x 32, grey) shows a star of 3 to 8 points of random size, place, turn and depth. Two tasks:
the number of points (classes), the radius (real). Single nets, hard sharing under every weighting and
aggregate, cross-stitch, soft sharing, branching and helpers, each with as many steps and five runs to choose
from (rates; fixed weights: rates, and the weights at the best of them). Targets are not scaled, so that a
size in units 100 times as small (`size x 100`) shows which ways notice the unit. Writes results/stars.
Resumable: every way and draw is a file in runs/stars. --write FILE.npz writes the pictures with a third
target, whether a star is sharp or blunt, for configs/several-targets.yaml.

With 300 steps on 2,000 pictures single nets hardly learn to count (27 %, chance is 17); these budgets have
twice the steps and four times the pictures.

Duration: 25 to 30 seconds a way and draw on one thread, 80 for grids of modules; 29 ways, five draws, two
units: about three hours, which --minutes cuts into pieces; the same command goes on.
"""

from __future__ import annotations

import math
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import study
import torch
from PIL import Image, ImageDraw

from metatl.data.targets import Targets
from metatl.lab import render, store
from metatl.multitasking.asked import chosen
from metatl.multitasking.fit import NetBudget
from metatl.multitasking.kept_fits import KeptFits
from metatl.multitasking.picture import gains
from metatl.multitasking.problem import Several
from metatl.multitasking.study import report, run, table

POINTS, SIDE, FINE = range(3, 9), 32, 4
DEPTHS = 0.35, 0.6
MIDDLE = sum(DEPTHS) / 2
WAYS = "all"
UNITS = {"size": 1.0, "size x 100": 100.0}


def star(rng: np.random.Generator, points: int, radius: float) -> tuple[Image.Image, float]:
    """One, drawn four times as fine and made smaller; how deep it is cut: the inner radius over the outer."""
    x, y = rng.uniform(radius, SIDE - radius, 2) * FINE
    turn, depth = rng.uniform(0, 2 * math.pi), rng.uniform(*DEPTHS)
    angles = turn + np.arange(2 * points) * math.pi / points
    far = radius * FINE * np.where(np.arange(2 * points) % 2, depth, 1.0)
    corners = np.stack([x + far * np.cos(angles), y + far * np.sin(angles)], 1)
    picture = Image.new("L", (SIDE * FINE, SIDE * FINE))
    ImageDraw.Draw(picture).polygon([tuple(corner) for corner in corners.tolist()], fill=255)
    return picture.resize((SIDE, SIDE), Image.Resampling.BOX), depth


def drawn(count: int) -> dict[str, np.ndarray]:
    """So many: x [n, 1, side, side], the points, the size (a tenth of the radius), and the form."""
    rng = np.random.default_rng(0)
    points, radius = rng.integers(POINTS[0], POINTS[-1] + 1, count), rng.uniform(6, 14, count)
    made = [star(rng, int(n), float(r)) for n, r in zip(points, radius, strict=True)]
    form = np.where(np.array([depth for _, depth in made]) < MIDDLE, "sharp", "blunt")
    x = np.stack([np.asarray(picture) for picture, _ in made])[:, None]
    return {"x": x, "points": points, "size": radius / 10.0, "form": form}


def stars(count: int, unit: float) -> Several:
    """Pictures and both targets."""
    made = drawn(count)
    x = torch.from_numpy(made["x"]).float() / 255.0
    y = {
        "points": torch.from_numpy(made["points"] - POINTS[0]),
        "size": torch.from_numpy(made["size"] * unit).float().unsqueeze(1),
    }
    targets = {
        "points": Targets("classes", tuple(map(str, POINTS)), y["points"]),
        "size": Targets("real", ("size",), y["size"]),
    }
    return Several("stars", "picture", lambda train: x, targets, y)


def main() -> None:
    parser = study.parser("The points and the size of a star.", "results/stars", "runs/stars")
    parser.add_argument("--seeds", type=study.count, default=5, help="draws [5]")
    parser.add_argument("--steps", type=study.count, default=600, help="steps of every net [600]")
    parser.add_argument("--pictures", type=study.count, default=8000, help="pictures [8000]")
    parser.add_argument("--methods", default=WAYS, help=f"ways, with commas [{WAYS}]")
    parser.add_argument("--minutes", type=float, default=50.0, help="for this command [50]")
    parser.add_argument("--write", type=Path, help="write the pictures to this npz file, and nothing else")
    given = parser.parse_args()
    if given.write is not None:
        store.make_folder(given.write.parent)
        np.savez_compressed(given.write, **drawn(given.pictures))
        return
    ways, budget = chosen(given.methods), NetBudget(given.steps, 64, (8, 16, 16), (64,), scaled=False)
    folder, texts = Path(given.out), list[str]()
    store.make_folder(folder)
    begun = time.monotonic()
    for name, unit in UNITS.items():
        problem, short = stars(given.pictures, unit), name.replace(" ", "")
        store.make_folder(Path(given.runs))
        kept = KeptFits.resumed(Path(given.runs) / short, problem, budget)
        left = given.minutes - (time.monotonic() - begun) / 60
        cells = run(problem, ways, given.seeds, budget, left + kept.spent / 60, print, kept)
        protocol = {
            "data": f"stars, {name}",
            "rows": problem.rows,
            "seeds": given.seeds,
            "budget": asdict(budget),
            "cells_missing": len(ways) * given.seeds - len(cells),
        }
        found = report(problem, ways, cells, protocol)
        store.write_json(folder / f"report-{short}.json", found)
        store.write_atomic(folder / f"plot-{short}.png", render.png(gains(found)))
        texts.append(f"# {name}\n\n{table(found)}")
        note = (
            f"{given.pictures} pictures, {given.steps} steps, up to {given.seeds} draws (the tables say "
            "how many each way got); gains are over single-task nets, above 0 is better.\n\n"
        )
        store.write_text(folder / "table.md", note + "\n".join(texts))


if __name__ == "__main__":
    study.command(main)
