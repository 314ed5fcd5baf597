"""Rates of rows that move the body, chosen on another target: ants and bees for CIFAR-10, and it for them.

Inside the labelled pictures of every draw, choosing takes a fit for each fold and rate, which no minutes
allow. Here each rate is a row, made as a config; what is best on the other data's judging pictures, over both
numbers of labels, stands in the table of this one. No picture that judges a row has chosen its rate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import parameter_transfer_methods as methods
import study

from metatl.lab import store
from metatl.transferring.backbone import Backbone

LABELLED, TRIED, DRAWS = "5,20", 2, 5
"""Numbers of labels, draws that choose a rate, and draws of the table."""
PATH = "rule.lr"
CONFIG = "base: {row}\nadaptation: {{init_args: {{rule: {{init_args: {{lr: {rate:.1e}}}}}}}}}\nselect: null\n"
NAMED = "at"
"""Between a row's name and its rate."""


def every(folder: Path, names: Sequence[str]) -> dict[str, dict[float, Path]]:
    """Configs of every rate of the rows that move the body and choose it, as files there."""
    found = dict[str, dict[float, Path]]()
    for name in names:
        row = methods.known(name)
        rates = row.grid.get(PATH)
        if row.moves == "head" or rates is None:
            continue
        for rate in rates:
            file = folder / f"{name}-{NAMED}-{rate:.1e}.yaml"
            store.write_text(file, CONFIG.format(row=name, rate=rate))
            found.setdefault(name, {})[rate] = file
    return found


def chosen(report: Path, tried: Mapping[str, Mapping[float, Path]]) -> dict[str, Path]:
    """Of each row the config with the best mean score; rows with a rate that has none are left out."""
    held = dict[str, list[float]]()
    for row in store.read_json(report)["rows"]:
        if row["score"] is not None:
            held.setdefault(row["method"], []).append(row["score"])
    found = dict[str, Path]()
    for name, files in tried.items():
        each = [held.get(file.stem, []) for file in files.values()]
        if all(len(own) == len(LABELLED.split(",")) for own in each):
            found[name] = [*files.values()][int(np.argmax([np.mean(own) for own in each]))]
    return found


def choose(net: Backbone, classes: int, runs: Path, words: Sequence[str], minutes: float) -> dict[str, Path]:
    """Rates tried on one target (`words` of `metatl transfer`)."""
    names, _ = methods.serving(net, classes)
    tried = every(runs / "rates", names)
    files = [study.shown(file) for own in tried.values() for file in own.values()]
    asked = [*words, "--labelled", LABELLED, "--draws", str(TRIED), "--minutes", f"{minutes:g}"]
    study.transfer([*asked, "--methods", ",".join(files), "--out", str(runs / f"tried-{classes}")])
    return chosen(runs / f"tried-{classes}" / "report.json", tried)


def judged(best: Mapping[str, Path], words: Sequence[str], minutes: float, out: Path) -> None:
    """The rows with these rates, beside those on frozen features, on another target."""
    heads = ("logistic-regression", "unit-logistic", "head-only", "nearest-centroid")
    names = [*heads, *(study.shown(file) for file in best.values())]
    asked = [*words, "--labelled", LABELLED, "--draws", str(DRAWS), "--minutes", f"{minutes:g}"]
    study.transfer([*asked, "--methods", ",".join(names), "--out", str(out)])
