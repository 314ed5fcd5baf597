"""Does a guide help a real pre-trained net? ResNet-20, scouts on CIFAR-10, other pictures as the targets.

    METATL_DATA=<folder with cifar10/, weights/, hymenoptera/ and mnist_m/> python scripts/gtl_real.py

The published ResNet-20 learns its guides from scouts on sub-problems of CIFAR-10 (runs/gtl_real: 100
pictures of each class), and goes to the digits of MNIST-M and to ants and bees at 32 px: the guide
(`gtl-tuned`), its permutation, the mean of every layer, one number for all, beside fine-tuning from the same
output layer, L2-SP, a FISH mask, the output layer alone and logistic regression on frozen features. Rates
are chosen inside the labelled pictures of each draw from four values a row (scripts/gtl_real_rows; a pilot
on MNIST found where they lie). LoRA has no row: the net's one linear layer is its output layer.
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach.

Duration: 80 minutes. The question is whether `gtl-tuned` lies above its constant and its permutation; where
it does not, what moves is not worth knowing. The minutes decide how many draws rows get, which table.md says.
"""

from __future__ import annotations

from pathlib import Path

import cifar
import numpy as np
import study

ROWS = Path(__file__).parent / "gtl_real_rows"
METHODS = ("nearest-centroid", "logistic-regression", "head-only")
LABELLED, DRAWS = "5,20", "5"
EACH, JUDGED, MINUTES = 100, 500, 40.0
"""Pictures of a class that are learned on; digits that judge; minutes of a target."""


def source(folder: Path) -> Path:
    """CIFAR-10's classes, as many pictures of each."""
    x, y, test, names = cifar.held()
    places = np.concatenate([np.flatnonzero((y == label) & ~test)[:EACH] for label in range(len(names))])
    cifar.write(folder, x[places], [names[label] for label in y[places]])
    return folder


def digits(folder: Path) -> Path:
    """MNIST-M: as many of each digit to label, and the first of the test part."""
    with np.load(study.data("mnist_m/mnist_m_8000.npz"), allow_pickle=False) as file:
        x, y, test = file["x"], file["y"], file["split"] == 1
    places = [np.flatnonzero((y == digit) & ~test)[:EACH] for digit in range(10)]
    places = np.concatenate([*places, np.flatnonzero(test)[:JUDGED]])
    cifar.write(folder, x[places], [str(digit) for digit in y[places]], test[places])
    return folder


def main() -> None:
    parser = study.parser(
        "Guides of a real net for new pictures, beside their controls.", "results/gtl_real", "runs/gtl_real"
    )
    parser.add_argument("--minutes", type=study.share, default=1.0, help="a share of the minutes [1]")
    given = parser.parse_args()
    runs = Path(given.runs)
    targets = {
        "mnist-m": digits(runs / "mnist-m"),
        "hymenoptera": study.data("hymenoptera"),
    }
    learned_on = source(runs / "cifar10")
    methods = ",".join([*METHODS, *(study.shown(file) for file in sorted(ROWS.glob("*.yaml")))])
    for name, folder in targets.items():
        words = [study.shown(folder), "--net", cifar.net(), "--source", study.shown(learned_on)]
        words += ["--labelled", LABELLED, "--methods", methods, "--draws", DRAWS]
        minutes = f"{given.minutes * MINUTES:g}"
        study.transfer([*words, "--minutes", minutes, "--out", str(Path(given.out) / name)])


if __name__ == "__main__":
    study.command(main)
