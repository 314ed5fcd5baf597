"""Does a guide help a real pre-trained net? ResNet-20, scouts on CIFAR-10, other pictures as the targets.

    METATL_DATA=<folder with cifar10/, weights/, hymenoptera/, mnist/ and mnist_m/> python scripts/gtl_real.py

The published ResNet-20 learns its guides from scouts on sub-problems of CIFAR-10 (runs/gtl_real: 100
pictures of each class), and goes to the digits of MNIST-M and to ants and bees at 32 px: the guide (`gtl`),
its permutation, the mean of every layer, one number for all, beside fine-tuning from the same output layer,
L2-SP, a FISH mask, the output layer alone and logistic regression on frozen features. Every arm has the rate,
of four, that reads best on a target which is not judged, MNIST (two draws at 5 and 20 labels;
OUT/tuning). LoRA has no row: the net's one linear layer is its output layer.
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach.

Duration: 45 minutes. The question is whether `gtl` lies above its constant and its permutation; where it does
not, what moves is not worth knowing. The minutes decide how many draws rows get, which table.md says.
"""

from __future__ import annotations

from pathlib import Path

import beside
import cifar
import numpy as np
import study
import tuned_rates

from metatl.lab import store

METHODS = ("nearest-centroid", "logistic-regression", "head-only")
WHOLE, MASKED = ("3.0e-4", "1.0e-3", "3.0e-3", "1.0e-2"), ("3.0e-3", "1.0e-2", "3.0e-2", "1.0e-1")
RATES = {
    "lp-ft": WHOLE,
    "l2-sp": WHOLE,
    "fish": MASKED,
    **dict.fromkeys(("gtl", "gtl-permuted", "gtl-layer-mean", "gtl-constant"), MASKED),
}
"""Rates that are tried, by row."""
LABELLED, DRAWS, TUNED_ON = "5,20", 5, 2
EACH, JUDGED, MINUTES = 100, 500, 15.0
"""Pictures of a class that are learned on; digits that judge; minutes of a target."""


HEAD = """# Does a guide help a real net?

`METATL_DATA=... python scripts/gtl_real.py`: the published ResNet-20 of CIFAR-10, guides of 20 scouts on
sub-problems of CIFAR-10 (four classes each), then digits of MNIST-M and ants and bees at 32 pixels. Accuracy
of the guided row, and its difference to each other row on the same draws: above 0 the guide is ahead. All
start from logistic regression on frozen features; each has its own rate. All rows:
[mnist-m](mnist-m/table.md), [hymenoptera](hymenoptera/table.md); rates: [tuning](tuning/table.md).

"""


def source(folder: Path) -> Path:
    """CIFAR-10's classes, as many pictures of each."""
    x, y, test, names = cifar.held()
    places = np.concatenate([np.flatnonzero((y == label) & ~test)[:EACH] for label in range(len(names))])
    cifar.write(folder, x[places], [names[label] for label in y[places]])
    return folder


def digits(folder: Path) -> Path:
    """MNIST-M: as many of each digit to label, and the first of the test part."""
    with np.load(study.data("mnist_m/mnist_m_8000.npz"), allow_pickle=False) as file:
        return _written(folder, file["x"], file["y"], file["split"] == 1)


def grey(folder: Path) -> Path:
    """MNIST, the rows that MNIST-M has not: the target that rates are tuned on."""
    with np.load(study.data("mnist_m/mnist_m_8000.npz"), allow_pickle=False) as file:
        taken = {name: file["mnist_index"][file["split"] == i] for i, name in enumerate(("train", "test"))}
    with np.load(study.data("mnist/mnist.npz"), allow_pickle=False) as file:
        parts = [(file[f"x_{p}"], file[f"y_{p}"], taken[p]) for p in ("train", "test")]
    kept = [np.setdiff1d(np.arange(len(y)), used)[:4000] for _, y, used in parts]
    x, y = (np.concatenate([part[i][at] for part, at in zip(parts, kept, strict=True)]) for i in (0, 1))
    return _written(folder, np.repeat(x[..., None], 3, 3), y, np.arange(len(y)) >= len(kept[0]))


def _written(folder: Path, x: cifar.Pictures, y: np.ndarray, test: np.ndarray) -> Path:
    places = [np.flatnonzero((y == digit) & ~test)[:EACH] for digit in range(10)]
    at = np.concatenate([*places, np.flatnonzero(test)[:JUDGED]])
    cifar.write(folder, x[at], [str(digit) for digit in y[at]], test[at])
    return folder


def main() -> None:
    parser = study.parser(
        "Guides of a real net for new pictures, beside their controls.", "results/gtl_real", "runs/gtl_real"
    )
    parser.add_argument("--minutes", type=study.share, default=1.0, help="a share of the minutes [1]")
    given = parser.parse_args()
    runs, out = Path(given.runs), Path(given.out)
    learned_on = source(runs / "cifar10")

    def transfer(target: Path, name: str, methods: list[str], draws: int) -> None:
        words = [study.shown(target), "--net", cifar.net(), "--source", study.shown(learned_on)]
        words += ["--labelled", LABELLED, "--methods", ",".join(methods), "--draws", str(draws)]
        study.transfer([*words, "--minutes", f"{given.minutes * MINUTES:g}", "--out", str(out / name)])

    tuning = out / "tuning" / "report.json"
    transfer(grey(runs / "mnist"), "tuning", tuned_rates.configs(runs / "rates", RATES), TUNED_ON)
    rates = tuned_rates.best(tuning, RATES, LABELLED.split(","))
    rows = [*METHODS, *tuned_rates.configs(runs / "tuned", rates)]
    targets = {"mnist-m": digits(runs / "mnist-m"), "hymenoptera": study.data("hymenoptera")}
    for name, target in targets.items():
        transfer(target, name, rows, DRAWS)
    others = [*(f"{base}-tuned" for base in RATES if base != "gtl"), "logistic-regression"]
    held = {name: out / name for name in targets}
    said = beside.table(held, "gtl-tuned", others, LABELLED.split(","))
    told = tuned_rates.told(RATES, {"both targets": rates}, "MNIST")
    store.write_text(out / "README.md", f"{HEAD}{said}\n{told}\n")


if __name__ == "__main__":
    study.command(main)
