"""Which part of a net to move when inputs, or labels, are other than before: CIFAR-10, changed.

    METATL_DATA=<folder with cifar10/ and weights/> python scripts/surgical.py

Writes pictures to runs/surgical: with Gaussian noise, blurred, with little contrast, and as they are under
other labels (animals of the land, of the air and water, and vehicles: what the net told apart is joined).
`metatl transfer` starts from the published ResNet-20 and moves its first, middle or last third, what
Auto-RGN chooses, or everything; the output layer starts at logistic regression on frozen features, which is
the floor. The net has seen the labelled pictures unchanged; the 1,000 that judge are new to it. In
`subgroups` the labels stay and their members are others, for a net that was learned on one half of them
(surgical_subgroups.py).
Resumable: what is done is not done again, and `--minutes` above 1 go on with what they did not reach.

Duration: an hour. Published (Lee et al. 2023, arXiv 2210.11466): first blocks for changed inputs, last
blocks for changed labels. The minutes decide how many draws rows get, which table.md says.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import cifar
import numpy as np
import study
import surgical_subgroups as subgroups
from PIL import Image, ImageFilter

ROWS = Path(__file__).parent / "surgical_rows"
"""The rows that move a part, trained for longer than in `metatl transfer`."""
METHODS = ("nearest-centroid", "logistic-regression")
EACH = 60
"""Pictures of each class that may be labelled."""
MINUTES = 11.0
JOINED = {
    "land": ("cat", "deer", "dog", "horse"),
    "air-and-water": ("bird", "frog"),
    "vehicle": ("airplane", "automobile", "ship", "truck"),
}


HEAD = """# Which part of a net to move

`METATL_DATA=... python scripts/surgical.py`: the published ResNet-20 of CIFAR-10 goes to its own classes
under Gaussian noise (standard deviation 0.08 of the range), blur (1 pixel) and a quarter of the contrast,
and unchanged under three names that join its classes (`joined`); a ResNet-20 that was learned on cats, dogs,
frogs, automobiles and trucks as animals and vehicles goes to birds, deer, horses, airplanes and ships under
the same two names (`subgroups`). 50 labelled pictures of each class; 1,000 judge, 500 of subgroups. One
third of the blocks moves, or everything (`lp-ft-longer`), or every tensor at Auto-RGN's rate; all start from
logistic regression on frozen features.

"""
TAIL = """
In brackets: draws. Rates are the rows' documented defaults, but for logistic regression's penalty.
Published (Lee et al. 2023, arXiv 2210.11466): first blocks for changed inputs, middle blocks for other
members of the same classes, last blocks for changed labels. Intervals, where there are draws enough, and 5
labels of each class: """


def noise(x: cifar.Pictures) -> cifar.Pictures:
    """Gaussian, of standard deviation 0.08 of the range."""
    added = x / 255 + np.random.default_rng(0).normal(0, 0.08, x.shape)
    return (255 * added.clip(0, 1)).round().astype(np.uint8)


def blur(x: cifar.Pictures) -> cifar.Pictures:
    """Gaussian, of 1 pixel."""
    drawn = ImageFilter.GaussianBlur(1.0)
    return np.stack([np.asarray(Image.fromarray(one).filter(drawn)) for one in x])


def contrast(x: cifar.Pictures) -> cifar.Pictures:
    """A quarter of it, about each picture's own mean."""
    mean = x.mean((1, 2), keepdims=True)
    return ((x - mean) * 0.25 + mean).round().clip(0, 255).astype(np.uint8)


CHANGES: Mapping[str, Callable[[cifar.Pictures], cifar.Pictures]] = {
    "noise": noise,
    "blur": blur,
    "contrast": contrast,
}


def summary(out: Path, labelled: int = 50) -> str:
    """The page of the study: every row's accuracy on every change that is done."""
    held = {name: out / name / "report.json" for name in (*CHANGES, "joined", "subgroups")}
    held = {name: json.loads(file.read_text()) for name, file in held.items() if file.is_file()}
    lines = [f"| accuracy, % | {' | '.join(held)} |", f"| --- |{' ---: |' * len(held)}"]
    for method in dict.fromkeys(row["method"] for report in held.values() for row in report["rows"]):
        cells = list[str]()
        for report in held.values():
            rows = [row for row in report["rows"] if (row["method"], row["labelled"]) == (method, labelled)]
            cells.append(f"{rows[0]['score']:.1f} ({rows[0]['draws']})" if rows and rows[0]["draws"] else "–")
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return HEAD + "\n".join(lines) + "\n" + TAIL + ", ".join(f"[{n}]({n}/table.md)" for n in held) + ".\n"


def main() -> None:
    parser = study.parser(
        "Parts of a pre-trained net that move, under changed pictures and labels.",
        "results/surgical",
        "runs/surgical",
    )
    parser.add_argument("--minutes", type=study.share, default=1.0, help="a share of the minutes [1]")
    given = parser.parse_args()
    x, y, test, names = cifar.held()
    some = test.copy()
    for label in range(10):
        some[np.flatnonzero((y == label) & ~test)[:EACH]] = True
    x, test, own = x[some], test[some], [names[c] for c in y[some]]
    joined = {name: group for group, members in JOINED.items() for name in members}
    runs, known = Path(given.runs), cifar.net()
    for name, change in CHANGES.items():
        cifar.write(runs / name, x, own, test, change)
    cifar.write(runs / "joined", x, [joined[name] for name in own], test)
    subgroups.problem(runs / "subgroups")
    nets = {**dict.fromkeys((*CHANGES, "joined"), known), "subgroups": subgroups.net(runs)}
    methods = ",".join([*METHODS, *(study.shown(path) for path in sorted(ROWS.glob("*.yaml")))])
    for name, net in nets.items():
        words = [study.shown(runs / name), "--net", net, "--labelled", "5,50", "--methods", methods]
        minutes = f"{given.minutes * MINUTES:g}"
        study.transfer([*words, "--draws", "3", "--minutes", minutes, "--out", str(Path(given.out) / name)])
    (Path(given.out) / "README.md").write_text(summary(Path(given.out)), encoding="utf-8")


if __name__ == "__main__":
    study.command(main)
