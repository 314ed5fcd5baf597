"""Parameter transfer, all rows side by side; and does a net of a less diverse source transfer worse?

    METATL_DATA=<folder with cifar10/ and hymenoptera/> python scripts/parameter_transfer.py
    python scripts/parameter_transfer.py --only diversity     # one part: hymenoptera, cifar10 or diversity

EfficientNet-Lite0 (ImageNet) goes to ants and bees at 96 pixels and to CIFAR-10's ten classes at 64, smaller
than its own 224 so that every row has several draws: each row of `metatl transfer` that serves photos without
a source or a teacher, at 1, 5, 20 and all labels of each class (CIFAR-10: 50 pictures of a class may be
labelled, the first 400 of the test part judge). Rows on frozen features choose their values by the labelled
pictures of every draw. Choosing the rate of a row that moves the body takes a fit for each fold and rate,
which no minutes allow: it has the rate of its grid that reads best on the other target (two draws at 1, 5 and
20 labels; OUT/tuning-TARGET), so that no picture that judges a row has chosen its rate. Then ResNet-20 learns
from nothing on 1,800 pictures of CIFAR-10, of 2, 4 or 8 classes, and goes to two classes that none of its
sources holds (parameter_transfer_sources.py). README.md of the results is made of the reports; of parts that
are there. Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not
reach; `--only cifar10` and `--only hymenoptera` can run at the same time, the command without it then writes
README.md.

Duration: an hour and a half of one busy core for either target, half of it to choose rates, and an hour for
the sources. The minutes decide how many draws rows get, which every table says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cifar
import numpy as np
import parameter_transfer_methods as methods
import parameter_transfer_page as page
import parameter_transfer_sources as sources
import study
import tuned_rates

from metatl.transferring.backbone import backbone

NET, LABELLED, DRAWS = "efficientnet_lite0", "1,5,20,all", 5
EACH, JUDGED = 50, 400
"""Pictures of each of CIFAR-10's classes that may be labelled; those of the test part that judge."""
SLOW = ("quadratic-discriminant", "cosine-classifier")
"""Rows that take seconds for a fit to frozen features, and would take all minutes to choose their values."""
TUNED_ON, TRIED, REFERENCE = "1,5,20", 2, "logistic-regression"
"""Numbers of labels and draws that choose a rate; the model that is saved, without minutes to choose one."""
TUNING, MINUTES = 90.0, 90.0
"""Of a target, at most: to try rates and to judge."""


@dataclass(frozen=True)
class Target:
    """Pixels of a side, and classes."""

    size: int
    classes: int


TARGETS = {"hymenoptera": Target(96, 2), "cifar10": Target(64, 10)}
PARTS = (*TARGETS, "diversity")


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
    names = {name: methods.serving(backbone(NET, of.size), of.classes)[0] for name, of in TARGETS.items()}
    tried = {name: tuned_rates.of_rows(rows) for name, rows in names.items()}

    def transfer(name: str, place: str, rows: list[str], labelled: str, draws: int, minutes: float) -> Path:
        words = [*asked(name, runs), "--labelled", labelled, "--methods", ",".join(rows)]
        words += ["--draws", str(draws), "--save", REFERENCE, "--minutes", f"{given.minutes * minutes:g}"]
        study.transfer([*words, "--out", str(out / place)])
        return out / place / "report.json"

    rates = dict[str, tuned_rates.Rates]()
    for name, other in zip(TARGETS, reversed(TARGETS), strict=True):
        if given.only not in (None, name):
            continue
        files = tuned_rates.configs(runs / f"tried-{other}", tried[other])
        tuned = transfer(other, f"tuning-{other}", [REFERENCE, *files], TUNED_ON, TRIED, TUNING)
        rates[name] = tuned_rates.best(tuned, tried[other], TUNED_ON.split(","))
        instead = methods.at_defaults(runs / "rows", SLOW)
        best = tuned_rates.configs(runs / f"tuned-for-{name}", rates[name])
        instead |= zip(rates[name], best, strict=True)
        transfer(name, name, [instead.get(row, row) for row in names[name]], LABELLED, DRAWS, MINUTES)
    if given.only in (None, "diversity"):
        sources.measured(runs, out / "diversity", given.splits, given.share, given.minutes)
    if given.only is None:
        told = tuned_rates.told(tried["cifar10"], rates, "the other target")
        page.write(out, list(TARGETS), told)


if __name__ == "__main__":
    study.command(main)
