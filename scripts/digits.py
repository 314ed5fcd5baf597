"""Digits of another domain without a label: what adaptation gains over the source alone, what labels would.

    METATL_DATA=<folder with mnist/, mnist_m/ and usps/> python scripts/digits.py --out results/digits

The rows of configs/digits on MNIST to MNIST-M (28 pixels, in colour), MNIST to USPS and back (16 pixels,
grey), with the small net of Ganin & Lempitsky; MNIST-M has 6,000 training images here, of 59,000 published.
Every row has one value of each setting, chosen by nothing but the published ones: no target label is read but
to judge. Resumable: scores.json beside the table keeps what every net answered under the name of its run, so
that what is there of the same config and data is not learned again, on another machine either. About an hour
of one idle core a seed (--share 0.25 for a quarter of the steps, --pairs and --rows for some of them).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import digits_table
import numpy as np
import study
import torch
from digits_table import Cell
from tqdm import tqdm

from metatl.lab import config, store
from metatl.lab.run import Run, learn, prepare, report

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "digits"
STEPS = 2000
PAIRS = {
    "mnist-to-mnist-m": ("mnist", "mnist-m", 28, 10),
    "mnist-to-usps": ("mnist", "usps", 16, 10),
    "usps-to-mnist": ("usps", "mnist", 16, 50),
}
"""Source, target, side of the pictures, blocks of 200 test images."""
LEARNED = (
    "source-only",
    "dann",
    "cdan",
    "deep-coral",
    "mmd",
    "mcc",
    "pseudo-labels",
    "fixmatch",
    "fixbi-mixup",
    "cutmix",
    "patchmix",
    "ddb",
    "source-norms",
    "target-only",
)
CARRIED = ("adabn", "tent")
"""Rows that start from the net of source-norms."""
ROWS = (*LEARNED[:-1], *CARRIED, LEARNED[-1])


def ready(pair: str, row: str, seed: int, runs: str, steps: int, start: Run | None = None) -> Run:
    """The run of one row on one pair; start: that whose net it takes, for rows that carry one."""
    source, target, size, blocks = PAIRS[pair]
    source = target if row == "target-only" else source
    words = ["--runs", runs, "--seed", str(seed), "--evaluation.episodes", str(blocks)]
    words += ["--data.init_args.sources", f"[{source}]", "--data.init_args.target", target]
    words += ["--data.init_args.size", str(size)]
    if start is not None:
        words += ["--start", str(start.folder.absolute() / "config.yaml")]
    else:
        words += ["--learner.init_args.steps", str(steps)]
    return prepare(config.load(CONFIGS / f"{row}.yaml", words), words)


def scores(kept: dict[str, Any], pair: str, row: str, seed: int, runs: str, steps: int) -> list[float]:
    """Accuracies by block, looked up under the name of the run, or found now and put there."""
    start = ready(pair, "source-norms", seed, runs, steps) if row in CARRIED else None
    if start is None:
        run = ready(pair, row, seed, runs, steps)
        name = run.folder.name
    else:
        told = config.describe(config.load(CONFIGS / f"{row}.yaml", []))
        own = config.digest([told["adaptation"], told["guide"]])
        run, name = None, f"{start.folder.name}, {row} {own}"
    if name not in kept:
        if start is not None:
            report(start)
        kept[name] = report(run or ready(pair, row, seed, runs, steps, start)).scores.round(6).tolist()
    return kept[name]


def write(place: Path, kept: dict[str, Any]) -> None:
    """A run a line."""
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(own)}" for name, own in kept.items())
    store.write_text(place, f"{{\n{lines}\n}}\n")


def some(of: tuple[str, ...]) -> object:
    """Names out of these, with commas between them."""

    def read(text: str) -> tuple[str, ...]:
        names = tuple(text.split(","))
        for name in names:
            if name not in of:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(of)}")
        return names

    return read


def main() -> None:
    parser = study.parser("Digits of another domain without a label.", "results/digits", "runs/digits")
    parser.add_argument("--seeds", type=study.count, default=3, help="seeds 0, 1, ... [3]")
    parser.add_argument("--share", type=study.share, default=1.0, help=f"of the {STEPS} steps [1]")
    parser.add_argument("--pairs", type=some(tuple(PAIRS)), default=tuple(PAIRS), help="some of the pairs")  # pyright: ignore[reportArgumentType]
    parser.add_argument("--rows", type=some(ROWS), default=ROWS, help="some of the rows")  # pyright: ignore[reportArgumentType]
    given = parser.parse_args()
    for file in ("mnist/mnist.npz", "mnist_m/mnist_m_8000.npz", "usps/usps_16x16.npz"):
        study.data(file)
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    steps, found, out = max(1, round(given.share * STEPS)), list[Cell](), Path(given.out)
    place = out / "scores.json"
    kept = store.read_json(place) if place.is_file() else {}
    store.make_folder(out)
    with tqdm(total=given.seeds * len(given.pairs) * len(given.rows)) as bar:
        for seed in range(given.seeds):
            for pair in given.pairs:
                for row in given.rows:
                    bar.set_description(f"{pair}, {row}, seed {seed}")
                    own = scores(kept, pair, row, seed, given.runs, steps)
                    found.append(Cell(pair, row, seed, np.array(own)))
                    write(place, kept)
                    bar.update()
            digits_table.write(out, found, steps)
    pictured = [row for row in ("source-only", "dann") if row in given.rows]
    if "mnist-to-mnist-m" in given.pairs and len(pictured) == 2 and not (out / "tsne.png").is_file():
        runs = {row: ready("mnist-to-mnist-m", row, 0, given.runs, steps) for row in pictured}
        digits_table.picture(out, {row: (run, learn(run)[0]) for row, run in runs.items()})


if __name__ == "__main__":
    study.command(main)
