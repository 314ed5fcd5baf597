"""Which rows to label next: those that a model is least sure of, beside as many drawn at random.

    METATL_DATA=<folder> python scripts/labels_next.py --out results/labels-next [--draws 20]

On every table of tables_data.py: ten labelled rows, of every class one at least, then ten more in each of
five rounds, chosen from a pool of 300 as `metatl next` does (1 less the probability of the class that is
named) or at random. Start, pool and up to 200 rows that judge are the same for both in a draw. The model is
fitted anew after each round, its values chosen inside what is labelled by then. Resumable, cell by cell: on
one idle core about a minute a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import study
import torch
from numpy.typing import NDArray
from tables import paired
from tables_data import TABLES, table_of

from metatl import Classifier
from metatl.lab import store
from metatl.lab.render import png
from metatl.lab.render.figure import PALETTE, bare, blank
from metatl.transferring.doubt import doubts
from metatl.types import MetatlError

METHODS, WAYS = ("logistic-regression", "bayes"), ("least sure", "random")
FIRST, MORE, ROUNDS, POOL, JUDGES = 10, 10, 5, 300, 200
ABOUT = (
    "Accuracy in percent of rows that judge, least sure / random, and in brackets the difference in points "
    "(above 0: choosing by doubt is better), paired by draw, with its 95 % interval (Student's t over {draws}"
    " draws, which share rows, so it is too short; no correction for many comparisons)."
)
Curves = dict[str, list[list[list[float]]]]
"""By way, of every draw and round [accuracy, log loss]."""


def main() -> None:
    """Every cell that is not there yet, then the table and the picture."""
    parser = study.parser("Which rows to label next.", "results/labels-next")
    parser.add_argument("--draws", type=study.count, default=20, help="draws of start, pool and judges [20]")
    parser.add_argument("--tables", default=",".join(TABLES), help="some of them, by commas [all]")
    given = parser.parse_args()
    torch.set_num_threads(1)
    out, found = Path(given.out), dict[tuple[str, str], Curves]()
    for name in given.tables.split(","):
        x, y = table_of(name)
        for method in METHODS:
            place = out / f"{name}-{method}-{given.draws}.json"
            if not place.is_file():
                store.write_json(place, curves(x, y, method, given.draws))
            found[name, method] = store.read_json(place)
            store.write_text(out / "table.md", table(found, given.draws))
            picture(found, out / "plot.png")
            print(f"{name}, {method}", flush=True)


def curves(x: NDArray[Any], y: NDArray[Any], method: str, draws: int) -> Curves:
    """Both ways on the same draws."""
    return {way: [curve(x, y, method, way, draw) for draw in range(draws)] for way in WAYS}


def curve(x: NDArray[Any], y: NDArray[Any], method: str, way: str, draw: int) -> list[list[float]]:
    """[accuracy, log loss] with 10, 20, ... labelled rows."""
    labelled, pool, judges = drawn(y, draw)
    chance, found = np.random.default_rng([draw, 1]), list[list[float]]()
    for turn in range(ROUNDS + 1):
        model = Classifier(method=method, seed=draw).fit(x[labelled], y[labelled])
        found.append(judged(model, x[judges], y[judges]))
        if turn < ROUNDS:
            picked = next_of(model, x[pool]) if way == "least sure" else chance.permutation(len(pool))[:MORE]
            labelled, pool = np.concatenate([labelled, pool[picked]]), np.delete(pool, picked)
    return found


def next_of(model: Classifier, x: NDArray[Any]) -> NDArray[Any]:
    """Places of the ten rows that the model is least sure of."""
    log_p = torch.from_numpy(model.predict_proba(x)).double().clamp_min(1e-30).log()
    return doubts("classes", log_p).argsort(descending=True, stable=True)[:MORE].numpy()


def judged(model: Classifier, x: NDArray[Any], y: NDArray[Any]) -> list[float]:
    """Accuracy, and log loss in nats."""
    p = np.asarray(model.predict_proba(x), np.float64)
    right = p[np.arange(len(y)), np.searchsorted(model.classes_, y)]
    return [
        float((model.classes_[p.argmax(1)] == y).mean()),
        float(-np.log(np.maximum(right, 1e-12)).mean()),
    ]


def drawn(y: NDArray[Any], draw: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Places of the first labelled rows, of the pool and of those that judge; no row is in two of them.

    Of few rows a third judges and the others are the pool. MetatlError for fewer than the rounds need.
    """
    order = np.random.default_rng(draw).permutation(len(y))
    first = [order[np.flatnonzero(y[order] == label)[0]] for label in np.unique(y)]
    rest = order[~np.isin(order, first)]
    start = max(FIRST, len(first))
    labelled, rest = np.concatenate([first, rest])[:start], np.concatenate([first, rest])[start:]
    judges = min(JUDGES, len(rest) // 3)
    pool = rest[judges : judges + POOL]
    if len(pool) < ROUNDS * MORE or not judges:
        raise MetatlError(f"{len(y)} rows are too few for {ROUNDS} rounds of {MORE}; take a larger table")
    return labelled, pool, rest[:judges]


def table(found: Mapping[tuple[str, str], Curves], draws: int) -> str:
    """Accuracy of both ways by labelled rows, with the paired difference."""
    sizes = [FIRST + MORE * turn for turn in range(ROUNDS + 1)]
    head = ["table", "method", *(f"{size} labelled" for size in sizes)]
    lines = [
        "# Which rows to label next",
        "",
        ABOUT.format(draws=draws),
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]
    for (name, method), of in found.items():
        cells = [said([[one[turn][0] for one in of[way]] for way in WAYS]) for turn in range(len(sizes))]
        lines.append(f"| {name} | {method} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def said(both: Sequence[Sequence[float]]) -> str:
    """A cell's words; accuracies of every draw by way."""
    sure, chance = (100 * np.array(one) for one in both)
    text = f"{sure.mean():.1f} / {chance.mean():.1f}"
    if len(sure) < 2:
        return text
    mean, half = paired([float(one) for one in sure - chance])
    return f"{text} ({mean:+.1f} ± {half:.1f})"


def picture(found: Mapping[tuple[str, str], Curves], path: Path) -> None:
    """A panel for each table: accuracy by labelled rows, a line for each way and method."""
    names = list(dict.fromkeys(name for name, _ in found))
    sizes = [FIRST + MORE * turn for turn in range(ROUNDS + 1)]
    figure = blank(3.4 * len(names) + 0.8, 3.4)
    for place, name in enumerate(names):
        axes = bare(figure.add_subplot(1, len(names), place + 1), keep=("left", "bottom"))
        for colour, method in zip(PALETTE, METHODS, strict=False):
            for way, line in zip(WAYS, ("-", "--"), strict=True):
                if (name, method) in found:
                    rounds = 100 * np.array(found[name, method][way])[..., 0].mean(0)
                    axes.plot(sizes, rounds, line, color=colour, label=f"{method}, {way}")
        axes.set(title=name, xlabel="labelled rows", ylabel="" if place else "accuracy, %")
        if not place:
            axes.legend(frameon=False, fontsize=7)
    figure.tight_layout()
    store.write_atomic(path, png(figure))


if __name__ == "__main__":
    study.command(main)
