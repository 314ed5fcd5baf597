"""Digits of another domain without a label: what adaptation gains over the source alone, what labels would.

    METATL_DATA=<folder with mnist/, mnist_m/ and usps/> python scripts/digits.py --out results/digits

The rows of configs/digits.yaml on MNIST to MNIST-M (28 pixels, in colour), MNIST to USPS and back (16 pixels,
grey), with the small net of Ganin & Lempitsky; MNIST-M has 6,000 training images here, of 59,000 published.
Every row has one value of each setting, chosen by nothing but the published ones: no target label is read but
to judge. Resumable: reports.json beside the table keeps every net's report under the digest of its values, so
that what is there of the same config and data is not learned again, on another machine either. About an hour
of one idle core a seed (--share 0.25 for a quarter of the steps, --pairs and --rows for some of them).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import digits_table
import study
import torch
from digits_table import Cell
from reports import Reports
from tqdm import tqdm

from metatl.evaluation.evaluate import Report
from metatl.lab import config
from metatl.lab.run import Run, learn, prepare, report

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "digits.yaml"
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
    return prepare(config.load(CONFIGS / row, words), words)


def found_of(kept: Reports, pair: str, row: str, seed: int, runs: str, steps: int) -> Report:
    """The report of a row, kept under the name of its run, or of the run that it starts from and its own."""
    if row not in CARRIED:
        return kept.of(ready(pair, row, seed, runs, steps))
    start = ready(pair, "source-norms", seed, runs, steps)
    told = config.describe(config.load(CONFIGS / row, []))
    own = config.digest([told["adaptation"], told["guide"]])

    def made() -> Report:
        report(start)
        return report(ready(pair, row, seed, runs, steps, start))

    return kept.named(f"{start.folder.name}, {row} {own}", made)


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
    kept = Reports(out / "reports.json")
    with tqdm(total=given.seeds * len(given.pairs) * len(given.rows)) as bar:
        for seed in range(given.seeds):
            for pair in given.pairs:
                for row in given.rows:
                    bar.set_description(f"{pair}, {row}, seed {seed}")
                    found.append(Cell(pair, row, seed, found_of(kept, pair, row, seed, given.runs, steps)))
                    bar.update()
            digits_table.write(out, found, steps)
    pictured = [row for row in ("source-only", "dann") if row in given.rows]
    if "mnist-to-mnist-m" in given.pairs and len(pictured) == 2 and not (out / "tsne.png").is_file():
        runs = {row: ready("mnist-to-mnist-m", row, 0, given.runs, steps) for row in pictured}
        digits_table.picture(out, {row: (run, learn(run)[0]) for row, run in runs.items()})


if __name__ == "__main__":
    study.command(main)
