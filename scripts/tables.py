"""Small tables: the net that reads rows beside a Bayesian output layer and three ways that everybody has.

    METATL_DATA=<folder> python scripts/tables.py --out results/tables [--draws 20] [--tables iris,cells]

Four tables of scikit-learn and four of files (cells, blood, windows, pupils: tables_data.py). 10, 30 and 100
labelled rows are drawn from a table, of every class one at least; up to 200 others judge. Columns are as they
come. Values of logistic regression and of nearest neighbours are chosen inside the labelled rows by
cross-validation, those of the Bayesian layer by evidence; trees keep defaults. Resumable: a file for each
cell, and what a file lacks is added.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import study
import torch
from numpy.typing import NDArray
from tables_data import TABLES, table_of

from metatl import Classifier
from metatl.lab import store
from metatl.types import MetatlError

ROWS, JUDGES = (10, 30, 100), 200
METHODS: Mapping[str, dict[str, Any]] = {
    "in-context": {},
    "bayes": {},
    "logistic-regression": {},
    "extra-trees": {"values": {"options.min_samples_leaf": 1}},
    "nearest-neighbours": {},
}
Scores = dict[str, list[list[float]] | str]
"""By method, [accuracy, log loss, seconds] of every draw; or why there are none."""


def main() -> None:
    """Every cell that is not there yet, then the table."""
    parser = study.parser("Small tables.", "results/tables")
    parser.add_argument("--draws", type=study.count, default=20, help="draws of labelled rows [20]")
    parser.add_argument("--tables", default=",".join(TABLES), help="some of them, by commas [all]")
    given = parser.parse_args()
    torch.set_num_threads(1)
    out, found = Path(given.out), dict[str, dict[int, Scores]]()
    for name in given.tables.split(","):
        x, y = table_of(name)
        for rows in (n for n in ROWS if n >= len(np.unique(y))):
            place = out / f"{name}-{rows}.json"
            kept: Scores = store.read_json(place) if place.is_file() else {}
            if lacking := [method for method in METHODS if method not in kept]:
                store.write_json(place, kept | cell(x, y, rows, given.draws, lacking))
            found.setdefault(name, {})[rows] = store.read_json(place)
            store.write_text(out / "table.md", table(found))
            print(f"{name}, {rows} rows", flush=True)


def cell(x: NDArray[Any], y: NDArray[Any], rows: int, draws: int, methods: Sequence[str]) -> Scores:
    """Methods on the same draws."""
    found: Scores = {}
    for method in methods:
        given = METHODS[method]
        try:
            found[method] = [judged(method, given, x, y, rows, draw) for draw in range(draws)]
        except MetatlError as error:
            found[method] = str(error)
    return found


def judged(
    method: str, given: dict[str, Any], x: NDArray[Any], y: NDArray[Any], rows: int, draw: int
) -> list[float]:
    """Accuracy, log loss and seconds of one draw."""
    labelled, judges = drawn(y, rows, draw)
    began = time.perf_counter()
    model = Classifier(method=method, seed=draw, **given).fit(x[labelled], y[labelled])
    said = np.asarray(model.predict_proba(x[judges]), np.float64)
    seconds = time.perf_counter() - began
    right = said[np.arange(len(judges)), np.searchsorted(model.classes_, y[judges])]
    hit = model.classes_[said.argmax(1)] == y[judges]
    return [float(hit.mean()), float(-np.log(np.maximum(right, 1e-12)).mean()), seconds]


def drawn(y: NDArray[Any], rows: int, draw: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Places of the labelled rows, one of each class first, and of those that judge."""
    order = np.random.default_rng(draw).permutation(len(y))
    first = [order[np.flatnonzero(y[order] == label)[0]] for label in np.unique(y)]
    rest = order[~np.isin(order, first)]
    labelled = np.concatenate([first, rest])[:rows]
    return labelled, order[~np.isin(order, labelled)][:JUDGES]


def table(found: Mapping[str, Mapping[int, Scores]]) -> str:
    """Means over draws; beside the others the difference to the net that reads rows, in pairs of draws."""
    draws = max(
        len(s) for cells in found.values() for c in cells.values() for s in c.values() if isinstance(s, list)
    )
    told = (
        "Accuracy in percent and log loss in nats (means of the draws), and by how many points of accuracy a "
        f"method is better (+) or worse than `in-context` on the same {draws} draws, with the 95 % interval "
        "of the mean difference (Student's t; draws share rows, so it is too short)."
    )
    lines = [
        told,
        "",
        "| table | rows | " + " | ".join(METHODS) + " |",
        "|---|---|" + "---|" * len(METHODS),
    ]
    for name, cells in found.items():
        for rows, scores in cells.items():
            lines.append(
                f"| {name} | {rows} | " + " | ".join(said(scores, method) for method in METHODS) + " |"
            )
    reasons = {
        s for cells in found.values() for c in cells.values() for s in c.values() if isinstance(s, str)
    }
    return "\n".join([*lines, "", *(f"none: {reason}" for reason in sorted(reasons)), ""])


def said(scores: Scores, method: str) -> str:
    """A cell's words."""
    own, base = scores[method], scores["in-context"]
    if isinstance(own, str):
        return "none"
    accuracy, loss, _ = np.mean(own, 0)
    text = f"{100 * accuracy:.1f}, {loss:.2f}"
    if method == "in-context" or isinstance(base, str):
        return text
    mean, half = paired([100 * (a[0] - b[0]) for a, b in zip(own, base, strict=True)])
    return f"{text} ({mean:+.1f} ± {half:.1f})"


def paired(differences: Sequence[float]) -> tuple[float, float]:
    """Mean and half of its 95 % interval."""
    from scipy.stats import t

    each = np.array(differences)
    return float(each.mean()), float(t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / len(each) ** 0.5)


if __name__ == "__main__":
    study.command(main)
