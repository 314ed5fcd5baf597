"""Does a guide help a real pre-trained net? ResNet-20, scouts on CIFAR-10, other pictures as the targets.

    METATL_DATA=<folder with cifar10/, weights/, hymenoptera/ and mnist_m/> python scripts/gtl_real.py

The published ResNet-20 learns its guides from scouts on sub-problems of CIFAR-10 (runs/gtl_real: 100
pictures of each class), and goes to ants and bees at 32 px and to the digits of MNIST-M: the guide (`gtl`),
its permutation, the mean of every layer, one number for all, beside fine-tuning from the same output layer,
L2-SP, a FISH mask, a KL anchor, the output layer alone and logistic regression on frozen features.
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach.

Duration: 24 minutes. The question is whether `gtl` lies above `gtl-constant` and `gtl-permuted`; where it
does not, what moves is not worth knowing. The minutes decide how many draws rows get, which table.md says.
"""

from __future__ import annotations

from pathlib import Path

import cifar
import numpy as np
import study

METHODS = (
    "nearest-centroid,logistic-regression,head-only,lp-ft,l2-sp,kl-anchor,fish,norms-only,"
    "gtl,gtl-permuted,gtl-layer-mean,gtl-constant"
)
EACH, JUDGED, MINUTES = 100, 500, 12.0
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
        "hymenoptera": study.data("hymenoptera"),
        "mnist-m": digits(runs / "mnist-m"),
    }
    learned_on = source(runs / "cifar10")
    for name, folder in targets.items():
        words = [study.shown(folder), "--net", cifar.net(), "--source", study.shown(learned_on)]
        words += ["--labelled", "1,5,20", "--methods", METHODS, "--draws", "5"]
        minutes = f"{given.minutes * MINUTES:g}"
        study.transfer([*words, "--minutes", minutes, "--out", str(Path(given.out) / name)])


if __name__ == "__main__":
    study.command(main)
