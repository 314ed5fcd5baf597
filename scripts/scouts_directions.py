"""What scouts know beyond a diagonal: mean, directions, prior and preconditioner, beside their controls.

    METATL_DATA=<folder with mnist/ and omniglot/> python scripts/scouts_directions.py

The configs in configs/scouts on 5-way tasks of Omniglot's meta_test, from `--nets` nets pre-trained on MNIST
(seeds 0, 1, ...), the same tasks for all rows; values are chosen on meta_val, row by row and net by net.
Writes table.md, report.json and plot.png (accuracy against the number of directions, and of scouts).
Resumable; displacements of scouts lie in metatl's cache folder. 15 to 30 minutes of one core for each net;
`--rows` with some names does these alone.

Expected of 5 examples a class: see results/scouts_directions/table.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import scouts_directions_table
import study
import torch
from gtl_nets import by_net, reported
from tqdm import tqdm

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.types import MetatlError

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "scouts"
PAIRS = (
    *((own, "fine-tune") for own in ("head-only", "diagonal", "mean-fine-tune", "mean-source-fine-tune")),
    *((own, "fine-tune") for own in ("subspace-64", "subspace-255", "prior-diagonal", "prior-low-rank")),
    *((own, "mean-fine-tune") for own in ("mean-alone", "mean-diagonal", "subspace-255", "prior-low-rank")),
    *(
        ("subspace-64", f"subspace-64-{other}")
        for other in ("random", "permuted", "shuffled", "source", "no-mean")
    ),
    *(("subspace-64", other) for other in ("subspace-64-path", "subspace-64-fisher", "lora-mean")),
    *(("subspace-255", other) for other in ("lora", "lora-mean")),
    ("subspace-64", "mean-alone"),
    ("subspace-64-source", "subspace-64-random"),
    ("subspace-31", "subspace-of-32"),
    ("subspace-127", "subspace-of-128"),
    ("subspace-of-1024", "subspace-255"),
    ("subspace-of-4096", "subspace-of-1024"),
    *(
        (f"{own}-maml", "fine-tune-maml")
        for own in ("head-only", "mean-fine-tune", "diagonal", "subspace-64")
    ),
    ("subspace-64-maml", "subspace-64-random-maml"),
    ("diagonal", "diagonal-permuted"),
    ("diagonal", "diagonal-source"),
    ("prior-diagonal", "l2-sp"),
    ("prior-low-rank", "prior-diagonal"),
    ("preconditioned-low-rank", "sgd"),
    ("preconditioned-kronecker", "sgd"),
    ("meta-curvature", "preconditioned-kronecker"),
    ("meta-curvature-init", "meta-curvature"),
)
"""Each row, and what it is held against."""


def contrasts(found: Mapping[str, Report], wanted: Sequence[tuple[str, str]] = PAIRS) -> list[dict[str, Any]]:
    """Paired over tasks (scores averaged over nets), in points; p Holm-corrected over all of them."""
    pairs = [(a, b) for a, b in wanted if a in found and b in found]
    tests = [compare.paired(found[a].scores, found[b].scores).times(100) for a, b in pairs]
    return [
        {
            "row": a,
            "against": b,
            "difference": test.mean,
            "ci95": test.ci95,
            "p": p,
            "by_net": by_net(found[a], found[b]),
        }
        for (a, b), test, p in zip(pairs, tests, compare.holm([test.p for test in tests]), strict=True)
    ]


def asked(folder: Path, rows: str | None) -> list[Path]:
    """The configs of these rows, with commas between them, or all; MetatlError for a name that is none."""
    every = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    names = [*every] if rows is None else rows.split(",")
    if unknown := sorted({*names} - {*every}):
        raise MetatlError(f"there is no row {', '.join(unknown)}; rows are {', '.join(every)}")
    return [every[name] for name in names]


def main() -> None:
    parser = study.parser("What scouts know beyond a diagonal.", "results/scouts_directions")
    parser.add_argument("--nets", type=study.count, default=1, help="pre-trained nets, one for each seed [1]")
    parser.add_argument("--shot", type=study.count, default=5, help="examples a class in evaluation [5]")
    parser.add_argument("--rows", help="these alone, with commas between them; all by default")
    given = parser.parse_args()
    torch.set_num_threads(1)  # sums over more threads differ in the last digit
    words = ["--runs", given.runs, "--evaluation.tasks.shot", str(given.shot)]
    paths = asked(CONFIGS, given.rows)
    found = dict[str, Report]()
    for path in tqdm(paths, desc="rows"):
        found[path.stem] = reported(path, given.nets, words)
        if "fine-tune" in found:  # what the others are held against; written row by row, as rows take minutes
            scouts_directions_table.write(Path(given.out), found, contrasts(found), given.nets, given.shot)


if __name__ == "__main__":
    study.command(main)
