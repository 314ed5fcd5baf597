"""A table with a source: cell lines by their genes, learned on other protocols of sequencing first.

    METATL_DATA=<folder with sc_mixology/> python scripts/transfer_cells.py

Writes tables of single cells to runs/cells (the 3,000 genes as log(1 + counts per 10,000); doublets are left
out) and runs `metatl transfer` on the third plate of five cell lines (CEL-seq2) with a source: the two
mixtures of three lines (CEL-seq2 and Drop-seq), so that two are new, or another plate, where none is.
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach.

Duration: 18 minutes. Expected: frozen features of a source that knows the lines read 95 % and more
with one label of each. The minutes decide how many draws rows get, which table.md says.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import study

DATA = "sc_celseq2_5cl_p3"
SOURCES = {"new-lines": ("sc_celseq2", "sc_dropseq"), "known-lines": ("sc_celseq2_5cl_p2",)}
METHODS = (
    "no-transfer,nearest-centroid,logistic-regression,logistic-on-columns,ridge-on-columns,extra-trees,lp-ft,"
    "fine-tuning,l2-sp,kl-anchor,fish,gtl,gtl-permuted,gtl-layer-mean,gtl-constant"
)
MINUTES = 9.0


def cells_of(protocols: tuple[str, ...], held: dict[str, np.ndarray]) -> np.ndarray:
    """Which cells are of these protocols, doublets aside."""
    names = held["protocols"].tolist()
    return held["singlet"] & np.isin(held["protocol"], [names.index(one) for one in protocols])


def expression(rows: np.ndarray, held: dict[str, np.ndarray]) -> np.ndarray:
    """log(1 + counts per 10,000) of these cells."""
    return np.log1p(1e4 * held["x"][rows] / held["total_count"][rows, None]).astype(np.float32)


def write(file: Path, protocols: tuple[str, ...], held: dict[str, np.ndarray]) -> None:
    """One cell a row: its genes, and the line that it is of."""
    rows = cells_of(protocols, held)
    line = held["cell_lines"][held["y"][rows]]
    file.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(file, x=expression(rows, held), gene=held["gene"], line=line)


def main() -> None:
    parser = study.parser(
        "Ways of transferring what other cells have taught.", "results/transfer-cells", "runs/cells"
    )
    parser.add_argument("--minutes", type=study.share, default=1.0, help="a share of the minutes [1]")
    given = parser.parse_args()
    runs = Path(given.runs)
    with np.load(study.data("sc_mixology/sc_mixology_3000.npz"), allow_pickle=False) as file:
        held = dict(file)
    write(runs / "plate.npz", (DATA,), held)
    for name, protocols in SOURCES.items():
        write(runs / f"{name}.npz", protocols, held)
        words = [str(runs / "plate.npz"), "--target", "line", "--source", str(runs / f"{name}.npz")]
        words += ["--labelled", "1,2,5,10", "--methods", METHODS, "--draws", "5"]
        minutes = f"{given.minutes * MINUTES:g}"
        study.transfer([*words, "--minutes", minutes, "--out", str(Path(given.out) / name)])


if __name__ == "__main__":
    study.command(main)
