"""Parameter transfer, all rows side by side; and does a net of a less diverse source transfer worse?

    METATL_DATA=<folder with cifar10/ and hymenoptera/> python scripts/parameter_transfer.py
    python scripts/parameter_transfer.py --only diversity     # one part: hymenoptera, cifar10 or diversity

EfficientNet-Lite0 (ImageNet) goes to ants and bees at 96 pixels and to CIFAR-10's ten classes at 64, smaller
than its own 224 so that every row has several draws: each row of `metatl transfer` that serves photos without
a source or a teacher, at 1, 5, 20 and all labels of each class (CIFAR-10: 50 pictures of a class may be
labelled, the first 400 of the test part judge). Then ResNet-20 learns from nothing on 1,800 pictures of
CIFAR-10, of 2, 4 or 8 classes, and goes to two classes that none of its sources holds
(parameter_transfer_sources.py). README.md of the results is made of the reports; of parts that are there.
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach.

Duration: about 50 minutes on two idle cores: 16 for ants and bees, 14 for CIFAR-10, 20 for the sources. The
minutes decide how many draws rows get, which every table says. Rates of rows that move the body are their
documented defaults, as no minutes are left to choose them, and so are the values of the two slowest others;
in the folders ending in -rates (`--only rates`, 90 minutes more) they were chosen on the other target.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cifar
import numpy as np
import parameter_transfer_methods as methods
import parameter_transfer_page as page
import parameter_transfer_rates as rates
import parameter_transfer_sources as sources
import study

from metatl.transferring.backbone import backbone

NET, LABELLED, DRAWS = "efficientnet_lite0", "1,5,20,all", 5
EACH, JUDGED = 50, 400
"""Pictures of each of CIFAR-10's classes that may be labelled; those of the test part that judge."""
SLOW = ("quadratic-discriminant", "cosine-classifier")
"""Rows that take seconds for a fit to frozen features, and would take all minutes to choose their values."""


@dataclass(frozen=True)
class Target:
    """Pixels of a side, classes, and minutes."""

    size: int
    classes: int
    minutes: float


TARGETS = {"hymenoptera": Target(96, 2, 16.0), "cifar10": Target(64, 10, 14.0)}
PARTS = (*TARGETS, "rates", "diversity")
TRIED_IN = 0.4
"""Of the minutes of the rates, the share in which they are tried."""
RATES_MINUTES = 45.0
"""Of each target."""


def few(folder: Path) -> Path:
    """CIFAR-10 as a problem with few labels."""
    x, y, test, names = cifar.held()
    places = [np.flatnonzero((y == label) & ~test)[:EACH] for label in range(len(names))]
    places = np.concatenate([*places, np.flatnonzero(test)[:JUDGED]])
    cifar.write(folder, x[places], [names[label] for label in y[places]], test[places])
    return folder


def asked(name: str, runs: Path) -> list[str]:
    """The words of `metatl transfer` for a target."""
    folder = few(runs / "cifar10") if name == "cifar10" else study.data(name)
    return [study.shown(folder), "--net", NET, "--size", str(TARGETS[name].size)]


def with_rates(runs: Path, out: Path, minutes: float) -> None:
    """Each target with the rates that are best on the other one."""
    best = {
        name: rates.choose(backbone(NET, of.size), of.classes, runs, asked(name, runs), minutes * TRIED_IN)
        for name, of in TARGETS.items()
    }
    for name, other in zip(TARGETS, reversed(TARGETS), strict=True):
        rates.judged(best[other], asked(name, runs), minutes * (1 - TRIED_IN), out / f"{name}-rates")


def main() -> None:
    parser = study.parser(
        "All rows of parameter transfer, and how diverse a source has to be.",
        "results/parameter_transfer",
        "runs/parameter_transfer",
    )
    parser.add_argument("--minutes", type=study.share, default=1.0, help="a share of the minutes [1]")
    parser.add_argument("--only", choices=PARTS, help="one part [all]")
    parser.add_argument(
        "--splits", type=sources.splits, default=5, help="pairs of target classes, 1 to 5 [5]"
    )
    parser.add_argument("--share", type=study.share, default=1.0, help="of the steps of pre-training [1]")
    given = parser.parse_args()
    runs, out = Path(given.runs), Path(given.out)
    for name, target in TARGETS.items():
        if given.only not in (None, name):
            continue
        words = [*asked(name, runs), "--labelled", LABELLED]
        rows, _ = methods.serving(backbone(NET, target.size), target.classes)
        instead = methods.at_defaults(runs / "rows", SLOW)
        words += ["--methods", methods.words(rows, instead), "--draws", str(DRAWS)]
        study.transfer([*words, "--minutes", f"{given.minutes * target.minutes:g}", "--out", str(out / name)])
    if given.only in (None, "rates"):
        with_rates(runs, out, given.minutes * RATES_MINUTES)
    if given.only in (None, "diversity"):
        sources.measured(runs, out / "diversity", given.splits, given.share, given.minutes)
    page.write(out, list(TARGETS), [f"{name}-rates" for name in TARGETS])


if __name__ == "__main__":
    study.command(main)
