"""Scouts are people: is a person a few numbers along the directions in which people differ?

    METATL_DATA=../shared/data python scripts/people.py --out results/people

Six folds leave every one of HAPT's 30 people out once, with the draws of hapt_personal.py (whose runs are
used where they are there). Scouts are the shared net personalised to the people who are learned from; a new
person is 5, 10 or 20 numbers along their principal directions (configs/people.yaml), beside random, permuted
and shuffled directions, E[d] alone, Gaussians of people, and fine-tuning, the KL anchor, the output layer
alone and batch norm's moments alone (configs/hapt.yaml). Values are chosen on the five people of meta_val in
every fold. Writes table.md (accuracy, bytes a person, who is harmed), report.json and plot.png. Resumable,
row by row and fold by fold; `--rows` with some names does these alone. One to three minutes of one core a
row, 40 in all.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import hapt_personal
import people_table
import study
import torch
from hapt_personal_choose import kept
from hapt_personal_stats import NONE, PLAIN
from tqdm import tqdm

from metatl.types import MetatlError

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "people.yaml"
OTHERS = (
    *(NONE, PLAIN, "moments-only", "kl-anchor", "l2-sp", "head-only", "gtl"),
    *(f"{PLAIN}-frozen", "kl-anchor-frozen"),
)
"""Rows of configs/hapt.yaml: what a few numbers are held against."""


def paths() -> dict[str, Path]:
    """The config of every row; those that all others are held against come first."""
    others = {name: hapt_personal.CONFIGS / name for name in OTHERS}
    return {**others, **study.rows(CONFIGS)}


def asked(rows: str | None) -> dict[str, Path]:
    """The rows of these names, and the two that are always there; MetatlError for a name that is none."""
    every = paths()
    names = {NONE, PLAIN, *(every if rows is None else rows.split(","))}
    if unknown := sorted(names - {*every}):
        raise MetatlError(f"there is no row {', '.join(unknown)}; rows are {', '.join(every)}")
    return {name: path for name, path in every.items() if name in names}


def main() -> None:
    parser = study.parser("A person as a few numbers along people's directions, on HAPT.", "results/people")
    parser.add_argument("--rows", help="these alone, with commas between them; all by default")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    rows, found = asked(given.rows), dict[int, Any]()
    with tqdm(total=len(rows) * len(hapt_personal.FOLD_SHOTS)) as bar:
        for name, path in rows.items():
            for shot in hapt_personal.FOLD_SHOTS:
                bar.set_description(f"{shot} windows, {name}")
                own = path, hapt_personal.words(given.runs, shot)
                make = functools.partial(hapt_personal.left_out, path, given.runs, shot)
                found.setdefault(shot, {})[name] = kept(*own, "left out, and what moves", make)
                bar.update()
    people_table.write(Path(given.out), found)


if __name__ == "__main__":
    study.command(main)
