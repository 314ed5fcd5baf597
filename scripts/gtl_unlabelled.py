"""Guided transfer without a label of the source: single cells of some protocols, a few labels on another.

    METATL_DATA=<folder with sc_mixology/> python scripts/gtl_unlabelled.py

A net fills in masked genes of cells whose lines nobody says, K-means on principal components of its features
makes clusters, and scouts on pairs of these give the guide; then 1, 2 or 5 cells of each line are labelled on
a protocol that the net never saw (Li et al. 2023, arXiv 2311.12045). `drop-seq`: three CEL-seq2 sets, then
Drop-seq. `plate`: two mixtures of three lines (CEL-seq2, Drop-seq), then a plate of five, two of them new.
Rows see the 1,000 genes that vary the most over the source's cells. `gtl` stands beside its permutation,
the mean of every layer and one number for all, fine-tuning and L2-SP from the same net, the output layer
alone, logistic regression on features and on the genes themselves, and the same net from random weights.
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach;
`--case plate` does one alone, so that two processes can share the work.

Duration: 25 minutes. The question is whether `gtl` lies above `gtl-constant` and `gtl-permuted`. In these
minutes rows that move the body take their documented rates; begun with `--minutes 8` they choose them by
cross-validation from two labels on.
"""

from __future__ import annotations

from pathlib import Path

import beside
import numpy as np
import study
import transfer_cells as cells

from metatl.data.fixed import MOST_FOLDS
from metatl.lab import store

CASES = {
    "drop-seq": ("sc_dropseq", ("sc_celseq2", "sc_celseq2_5cl_p1", "sc_celseq2_5cl_p2")),
    "plate": ("sc_celseq2_5cl_p3", ("sc_celseq2", "sc_dropseq")),
}
METHODS = (
    "no-transfer,nearest-centroid,logistic-regression,logistic-on-columns,head-only,fine-tuning,l2-sp,"
    "gtl,gtl-permuted,gtl-layer-mean,gtl-constant"
)
GENES, LABELLED, MINUTES = 1000, "1,2,5", 12.0
OTHERS = (
    "gtl-permuted",
    "gtl-layer-mean",
    "gtl-constant",
    "fine-tuning",
    "l2-sp",
    "logistic-regression",
    "logistic-on-columns",
)
HEAD = """# Guided transfer without a label of the source

`METATL_DATA=... python scripts/gtl_unlabelled.py`: a net fills in masked genes of cells without labels,
clusters of its features are classes, scouts on pairs of these give the guide; then 1, 2 or 5 cells of each
line are labelled on another protocol. Accuracy of `gtl`, and its difference to each other row on the same
draws: above 0 the guide is ahead. All rows: [drop-seq](drop-seq/table.md), [plate](plate/table.md), which
also say which values are documented defaults.

"""


def write(place: Path, target: str, source: tuple[str, ...], held: dict[str, np.ndarray]) -> None:
    """The target's cells with their lines, and the source's without: the file of these has no label."""
    rows = cells.cells_of(source, held)
    genes = cells.expression(rows, held)
    kept = np.sort(np.argsort(-genes.var(0), kind="stable")[:GENES])
    place.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(f"{place}-unlabelled.npz", x=genes[:, kept], gene=held["gene"][kept])
    rows = cells.cells_of((target,), held)
    genes, line = cells.expression(rows, held)[:, kept], held["cell_lines"][held["y"][rows]]
    np.savez_compressed(f"{place}.npz", x=genes, gene=held["gene"][kept], line=line)


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
    for name in [given.case] if given.case else CASES:
        target, source = CASES[name]
        place = Path(given.runs) / name
        write(place, target, source, held)
        words = [f"{place}.npz", "--target", "line", "--source", f"{place}-unlabelled.npz"]
        words += ["--labelled", LABELLED, "--methods", METHODS, "--draws", "20"]
        minutes = f"{given.minutes * MINUTES:g}"
        study.transfer([*words, "--minutes", minutes, "--out", str(Path(given.out) / name)])
    out = Path(given.out)
    if not all((out / name / "report.json").exists() for name in CASES):
        return
    said = beside.table({name: out / name for name in CASES}, "gtl", OTHERS, LABELLED.split(","), MOST_FOLDS)
    store.write_text(out / "README.md", HEAD + said)


if __name__ == "__main__":
    study.command(main)
