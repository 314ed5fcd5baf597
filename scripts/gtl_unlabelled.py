"""Guided transfer without a label of the source: single cells of some protocols, a few labels on another.

    METATL_DATA=<folder with sc_mixology/> python scripts/gtl_unlabelled.py

A net fills in masked genes of cells whose lines nobody says, K-means on principal components of its features
makes clusters, and scouts on pairs of these give the guide; then 1, 2 or 5 cells of each line are labelled on
a protocol that the net never saw (Li et al. 2023, arXiv 2311.12045). `drop-seq`: three CEL-seq2 sets, then
Drop-seq. `plate`: two mixtures of three lines (CEL-seq2, Drop-seq), then a plate of five, two of them new.
Rows see the 1,000 genes that vary the most over the source's cells. `gtl` stands beside its permutation,
the mean of every layer and one number for all, fine-tuning and L2-SP from the same net, the output layer
alone, logistic regression on features and on the genes themselves, and the same net from random weights.
Every row that moves the body has the rate, of four, that reads best on the other case (two draws at 1, 2 and
5 labels; OUT/tuning-CASE), so that no cell that judges a row has chosen its rate.
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach;
`--case plate` does one alone, so that two processes can share the work; the command without it then writes
README.md.

Duration: 70 minutes on one idle core. The question is whether `gtl` lies above `gtl-constant` and
`gtl-permuted`.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import beside
import numpy as np
import study
import transfer_cells as cells
import tuned_rates

from metatl.data.fixed import MOST_FOLDS
from metatl.lab import store

CASES = {
    "drop-seq": ("sc_dropseq", ("sc_celseq2", "sc_celseq2_5cl_p1", "sc_celseq2_5cl_p2")),
    "plate": ("sc_celseq2_5cl_p3", ("sc_celseq2", "sc_dropseq")),
}
SAVED = "logistic-regression"
HEADS = ("nearest-centroid", SAVED, "logistic-on-columns", "head-only")
WHOLE, FROM_ZERO = ("1.0e-4", "3.0e-4", "1.0e-3", "3.0e-3"), ("1.0e-3", "3.0e-3", "1.0e-2", "3.0e-2")
RATES = {
    "no-transfer": FROM_ZERO,
    "fine-tuning": WHOLE,
    "l2-sp": WHOLE,
    **dict.fromkeys(("gtl", "gtl-permuted", "gtl-layer-mean", "gtl-constant"), FROM_ZERO),
}
"""Rates that are tried, by row."""
GENES, LABELLED, DRAWS, TUNED_ON = 1000, "1,2,5", 20, 2
TUNING, MINUTES = 12.0, 24.0
"""Minutes of a case, to tune rates and to judge."""
HEAD = """# Guided transfer without a label of the source

`METATL_DATA=... python scripts/gtl_unlabelled.py`: a net fills in masked genes of cells without labels,
clusters of its features are classes, scouts on pairs of these give the guide; then 1, 2 or 5 cells of each
line are labelled on another protocol. Accuracy of the guided row, and its difference to each other row on the
same draws: above 0 the guide is ahead. All rows: [drop-seq](drop-seq/table.md), [plate](plate/table.md). Rows
called -tuned have the rate that reads best on the other case: [on drop-seq](tuning-drop-seq/table.md), [on
plate](tuning-plate/table.md).

"""


def write(place: Path, target: str, source: tuple[str, ...], held: dict[str, np.ndarray]) -> None:
    """The target's cells with their lines, and the source's without: the file of these has no label."""
    rows = cells.cells_of(source, held)
    genes = cells.expression(rows, held)
    kept = np.sort(np.argsort(-genes.var(0), kind="stable")[:GENES])
    _save(Path(f"{place}-unlabelled.npz"), x=genes[:, kept], gene=held["gene"][kept])
    rows = cells.cells_of((target,), held)
    genes, line = cells.expression(rows, held)[:, kept], held["cell_lines"][held["y"][rows]]
    _save(Path(f"{place}.npz"), x=genes, gene=held["gene"][kept], line=line)


def _save(file: Path, **arrays: Any) -> None:
    """Whole or not at all: another process may be reading."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    store.write_atomic(file, stream.getvalue())


def main() -> None:
    parser = study.parser(
        "Guides from clusters of cells without labels, beside their controls.",
        "results/gtl_unlabelled",
        "runs/gtl_unlabelled",
    )
    parser.add_argument("--minutes", type=study.share, default=1.0, help="a share of the minutes [1]")
    parser.add_argument("--case", choices=[*CASES], help="this one alone [all]")
    given = parser.parse_args()
    with np.load(study.data("sc_mixology/sc_mixology_3000.npz"), allow_pickle=False) as file:
        held = dict(file)
    runs, out = Path(given.runs), Path(given.out)
    for name, (target, source) in CASES.items():
        write(runs / name, target, source, held)

    def transfer(name: str, place: str, methods: list[str], draws: int, minutes: float) -> Path:
        words = [f"{runs / name}.npz", "--target", "line", "--source", f"{runs / name}-unlabelled.npz"]
        words += ["--labelled", LABELLED, "--methods", ",".join(methods), "--draws", str(draws)]
        words += ["--save", SAVED]  # no minutes to choose another model
        study.transfer([*words, "--minutes", f"{given.minutes * minutes:g}", "--out", str(out / place)])
        return out / place / "report.json"

    labels, rates = LABELLED.split(","), dict[str, dict[str, tuple[str]]]()
    for name, other in zip(CASES, reversed(CASES), strict=True):
        if given.case not in (None, name):
            continue
        tried = tuned_rates.configs(runs / "rates", RATES)
        tuned = transfer(other, f"tuning-{other}", [SAVED, *tried], TUNED_ON, TUNING)
        rates[name] = tuned_rates.best(tuned, RATES, labels)
        rows = [*HEADS, *tuned_rates.configs(runs / f"tuned-for-{name}", rates[name])]
        transfer(name, name, rows, DRAWS, MINUTES)
    if given.case:
        return
    others = [*(f"{base}-tuned" for base in RATES if base != "gtl"), *HEADS[1:3]]
    said = beside.table({name: out / name for name in CASES}, "gtl-tuned", others, labels, MOST_FOLDS)
    told = tuned_rates.told(RATES, rates, "the other case")
    store.write_text(out / "README.md", f"{HEAD}{said}\n{told}\n")


if __name__ == "__main__":
    study.command(main)
