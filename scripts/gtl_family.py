"""From Fisher information to GTL's guide: where on the way is transfer best, and is it the placement?

    python scripts/gtl_family.py --out results/gtl-family

The statistic E[d^2] runs from one-step scouts on a single example (Fisher information, which FISH ranks) to
long scouts on class subsets (GTL); the shape from a mask (power 0) to GTL's own (power 1); the density from a
few weights to all. Every guide has mean 1, so the cells differ in which weights move, not in how far they do
on average, and the constant of every cell is fine-tuning. Beside each cell stands the same shape of the same
statistic permuted within each tensor. All rates are chosen on meta-val, cell by cell. Resumable; about 20
minutes of one core.

Expected: not run yet.
"""

from __future__ import annotations

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import gtl_family_table
import numpy as np
import torch
from gtl_family_table import Place
from tqdm import tqdm

from metatl import config
from metatl.evaluate import Report
from metatl.run import prepare, report

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "gtl-family"
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
    "cell. Rates are chosen on meta-val, cell by cell. Pre-trained nets, with scouts of their own: {seeds}."
)


def words_of(place: Place, permuted: bool) -> list[str]:
    """What a cell of the grid, or its permuted control, overrides in cell.yaml."""
    statistic, power, density = place
    shape = {"class_path": "PowerLaw", "init_args": {"power": power, "density": density, "mean": 1.0}}
    turns: list[Any] = [{"class_path": "Permuted"}] * permuted
    turns.append({"class_path": "Shaped", "init_args": {"shape": shape}})
    guide = {"class_path": "InTurn", "init_args": {"guides": turns}}
    name = f"family-{statistic}-p{power:g}-d{density:g}{'-permuted' * permuted}"
    named = ["--name", name, "--family", "controls" if permuted else "guided"]
    return [*named, "--start", str(CONFIGS / "start" / f"{statistic}.yaml"), "--guide", json.dumps(guide)]


def reported(file: str, seeds: int, words: list[str]) -> Report:
    """The report over all seeds: the mean score over the pre-trained nets, episode by episode."""
    found = list[Report]()
    for seed in range(seeds):
        own = [*words, "--seed", str(seed)]
        found.append(report(prepare(config.load(CONFIGS / file, own), own)))
    first, costs = found[0], ("trainable", "ms_per_task", "seconds_to_learn")
    facts: dict[str, Any] = {key: float(np.mean([one.facts[key] for one in found])) for key in costs}
    rates = ", ".join(str(one.facts["selected"]["rule.lr"]) for one in found)
    facts |= {"family": first.facts["family"], "selected": {"rule.lr": rates}}
    facts["by_seed"] = [100 * one.mean for one in found]
    name = first.method.removeprefix("family-")
    return Report(name, np.mean([one.scores for one in found], 0), first.protocol, facts)


def main() -> None:
    parser = argparse.ArgumentParser(description="The statistic family from Fisher information to GTL.")
    parser.add_argument("--out", default="results/gtl-family", help="folder for what is written")
    parser.add_argument("--runs", default="runs", help="folder of the run directories")
    parser.add_argument("--seeds", type=int, default=1, help="pre-trained nets, each with its scouts [1]")
    words = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    shared, seeds = ["--runs", words.runs], words.seeds
    plain = [reported(f"{name}.yaml", seeds, shared) for name in ("fine-tune", "head-only")]
    guided, permuted = dict[Place, Report](), dict[Place, Report]()
    for place in tqdm(PLACES, desc="cells"):
        guided[place] = reported("cell.yaml", seeds, [*shared, *words_of(place, permuted=False)])
        permuted[place] = reported("cell.yaml", seeds, [*shared, *words_of(place, permuted=True)])
    tests = gtl_family_table.contrasts(plain[0], guided, permuted)
    every = [*plain, *guided.values(), *permuted.values()]
    gtl_family_table.write(Path(words.out), STATISTICS, every, tests, ABOUT.format(seeds=seeds))


if __name__ == "__main__":
    main()
