"""From Fisher information to GTL's guide: where on the way is transfer best, and is it the placement?

    python scripts/gtl_family.py --out results/gtl-family

The statistic E[d^2] runs from one-step scouts on a single example (Fisher information, which FISH ranks) to
long scouts on class subsets (GTL); the shape from a mask (power 0) to GTL's own (power 1); the density from a
few weights to all. Every guide has mean 1, so the cells differ in which weights move, not in how far they do
on average, and the constant of every cell is fine-tuning. Beside each cell stands the same shape of the same
statistic permuted within each tensor. All rates are chosen on meta-val, cell by cell. Resumable; 7 to 13
minutes of one core a net.

Expected: no cell above fine-tuning or above its permuted control; within a point of it where all weights move
and the guide is flat, 1 to 3 points below where 5 % move.
"""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import gtl_family_table
import study
import torch
from gtl_family_table import Place
from gtl_nets import reported
from tqdm import tqdm

from metatl.evaluation.evaluate import Report

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "gtl-family.yaml"
STATISTICS = {
    "fisher": "1 step,\n1 example",
    "steps-1": "1 step,\n50 examples",
    "steps-16": "16 steps",
    "steps-256": "256 steps",
}
GRID = itertools.product(STATISTICS, (0.0, 0.5, 1.0), (0.05, 0.2, 1.0))
PLACES = [place for place in GRID if place[1:] != (0.0, 1.0)]  # a mask of all weights is fine-tuning
ABOUT = (
    "Every guide has mean 1 over the body, and 1 in the output layer: fine-tuning is the constant of every "
    "cell. Rates are chosen on meta-val, cell by cell. Pre-trained nets, each with scouts of its own: "
    "{nets}; every episode's score is averaged over nets first."
)


def words_of(place: Place, permuted: bool) -> list[str]:
    """What a cell of the grid, or its permuted control, overrides in the row `cell`."""
    statistic, power, density = place
    shape = {"class_path": "PowerLaw", "init_args": {"power": power, "density": density, "mean": 1.0}}
    turns: list[Any] = [{"class_path": "Permuted"}] * permuted
    turns.append({"class_path": "Shaped", "init_args": {"shape": shape}})
    guide = {"class_path": "InTurn", "init_args": {"guides": turns}}
    name = f"family-{statistic}-p{power:g}-d{density:g}{'-permuted' * permuted}"
    named = ["--name", name, "--family", "controls" if permuted else "guided"]
    return [*named, "--start", str(CONFIGS / statistic), "--guide", json.dumps(guide)]


def cell(place: Place, permuted: bool, nets: int, words: list[str]) -> Report:
    """A cell's report over all nets, or that of its permuted control."""
    made = reported(CONFIGS / "cell", nets, [*words, *words_of(place, permuted)])
    return replace(made, method=made.method.removeprefix("family-"))


def main() -> None:
    parser = study.parser("The statistic family from Fisher information to GTL.", "results/gtl-family")
    parser.add_argument(
        "--nets", type=study.count, default=3, help="pre-trained nets, each with its scouts [3]"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    shared, nets = ["--runs", given.runs], given.nets
    plain = [reported(CONFIGS / name, nets, shared) for name in ("fine-tune", "head-only", "scratch")]
    guided, permuted = dict[Place, Report](), dict[Place, Report]()
    with tqdm(PLACES, desc="cells") as bar:
        for place in bar:
            guided[place] = cell(place, False, nets, shared)
            permuted[place] = cell(place, True, nets, shared)
    tests = gtl_family_table.contrasts(plain[0], guided, permuted)
    every = [*plain, *guided.values(), *permuted.values()]
    gtl_family_table.write(Path(given.out), STATISTICS, every, tests, ABOUT.format(nets=nets))


if __name__ == "__main__":
    study.command(main)
