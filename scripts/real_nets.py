"""What scouts know of a real net: ResNet-20, scouts on subsets of CIFAR-10's classes, digits as the target.

    METATL_DATA=<folder with cifar10/, weights/, mnist/ and mnist_m/> python scripts/real_nets.py

The published ResNet-20 goes to 5-way 5-shot tasks of MNIST-M's digits, the same tasks for all rows
(configs/real-nets): mean, directions, priors and guides of 64 scouts on sub-problems of CIFAR-10, beside
their controls, fine-tuning, L2-SP, LoRA and the output layer alone. Values are chosen on tasks of MNIST's
digits, which are not judged. One net and one draw of scouts: intervals are over tasks alone.
Writes table.md and report.json. Resumable, row by row; `--rows` with some names does these alone. Scouts take
3 minutes of one core, and as much again for those with shuffled labels; each of 16 rows takes 3 to 6.
"""

from __future__ import annotations

import os
from pathlib import Path

import cifar
import numpy as np
import scouts_directions
import scouts_directions_table
import study
import torch
from gtl_nets import reported
from tqdm import tqdm

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import render, store

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "real-nets"
AGAINST = "fine-tune"
PAIRS = (
    *((own, AGAINST) for own in ("head-only", "mean-fine-tune", "diagonal", "subspace-16", "subspace-63")),
    *((own, AGAINST) for own in ("prior-diagonal", "prior-low-rank", "l2-sp", "lora")),
    *(("subspace-16", f"subspace-16-{other}") for other in ("random", "permuted", "shuffled", "no-mean")),
    *((own, "mean-fine-tune") for own in ("mean-alone", "subspace-63", "prior-low-rank")),
    ("subspace-16", "mean-alone"),
    ("diagonal", "diagonal-permuted"),
    ("prior-diagonal", "l2-sp"),
    ("prior-low-rank", "prior-diagonal"),
)
"""Each row, and what it is held against."""
EACH, TARGET = 200, 100
"""Pictures of a class of the source, and of a digit."""
ABOUT = (
    "The published ResNet-20 of CIFAR-10, 5-way 5-shot tasks of MNIST-M's digits ({tasks}), 10 queries a "
    "class, inductive; 10 steps, a fresh output layer. Scouts: 64, each 20 steps of SGD on 5 of CIFAR-10's "
    "classes, 5 pictures of each. Values are chosen on 8 tasks of MNIST's digits. Intervals are over tasks "
    "alone: with one net and one draw of scouts they say nothing of others. Paired over tasks, ± half of the "
    "95 % interval; p Holm-corrected over all comparisons."
)


def pictures(file: Path) -> Path:
    """CIFAR-10's classes, MNIST's digits and MNIST-M's, 32 x 32 in colour, as one npz file."""
    if file.is_file():
        return file
    x, y, test, names = cifar.held()
    parts = [_each(x[~test], y[~test], names, EACH)]
    with np.load(study.data("mnist_m/mnist_m_8000.npz"), allow_pickle=False) as held:
        parts.append(_each(held["x"], held["y"], _digits("colour"), TARGET))
    with np.load(study.data("mnist/mnist.npz"), allow_pickle=False) as held:
        grey = np.repeat(held["x_test"][..., None], 3, 3)
        parts.append(_each(grey, held["y_test"], _digits("grey"), TARGET))
    made = cifar.made(file.parent) / f".{file.name}"
    with made.open("wb") as written:
        np.savez(written, x=np.concatenate([p[0] for p in parts]), y=np.concatenate([p[1] for p in parts]))
    made.rename(file)
    return file


def _digits(colour: str) -> list[str]:
    return [f"{colour} {digit}" for digit in range(10)]


def _each(
    x: cifar.Pictures, y: np.ndarray, names: list[str], count: int
) -> tuple[cifar.Pictures, np.ndarray]:
    """The first pictures of every class, and the class's name of each; edges repeated up to 32 x 32."""
    places = np.concatenate([np.flatnonzero(y == label)[:count] for label in range(len(names))])
    edge = (32 - x.shape[1]) // 2
    wide = np.pad(x[places], ((0, 0), (edge, edge), (edge, edge), (0, 0)), mode="edge")
    return wide, np.array(names)[y[places].astype(int)]


def words(runs: str) -> list[str]:
    """What every row is told beside its config: where the pictures and the weights lie, who is in a split."""
    given = ["--runs", runs, "--data.init_args.path", os.path.relpath(pictures(Path(runs) / "pictures.npz"))]
    said = {"train": cifar.held()[3], "val": _digits("grey"), "test": _digits("colour")}
    for name, classes in said.items():
        given += [f"--data.init_args.{name}", str(classes)]
    return [*given, "--model.init_args.weights", study.shown(study.data(cifar.WEIGHTS))]


def write(out: Path, found: dict[str, Report]) -> None:
    """table.md, and report.json with rows as `metatl benchmark` writes them."""
    tests = scouts_directions.contrasts(found, PAIRS)
    ordered = sorted(found.values(), key=lambda one: -one.mean)
    rows, protocol = compare.rows(ordered, AGAINST, None), compare.protocol(ordered, AGAINST, None)
    about = ABOUT.format(tasks=len(ordered[0].scores))
    parts = ["# What scouts know of a real net", about, scouts_directions_table.differences(tests)]
    parts.append(render.markdown(rows, protocol, times=False).strip())
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    made = {"about": about, "protocol": protocol, "rows": rows, "contrasts": tests}
    store.write_json(out / "report.json", made)


def main() -> None:
    parser = study.parser("What scouts know of a ResNet-20.", "results/real_nets", "runs/real_nets")
    parser.add_argument("--rows", help="these alone, with commas between them; all by default")
    parser.add_argument("--episodes", type=study.count, default=100, help="tasks that judge [100]")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    names = [path.stem for path in scouts_directions.asked(CONFIGS, given.rows)]
    told = [*words(given.runs), "--evaluation.episodes", str(given.episodes)]
    found = dict[str, Report]()
    for name in tqdm([AGAINST, *(one for one in names if one != AGAINST)], desc="rows"):
        found[name] = reported(CONFIGS / f"{name}.yaml", 1, told)
        write(Path(given.out), found)


if __name__ == "__main__":
    study.command(main)
