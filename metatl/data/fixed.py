"""The task rule of a fixed problem: labelled rows drawn again and again, the test part left alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.types import MetatlError

Index = NDArray[np.int64]
MOST_FOLDS = 5


@dataclass(frozen=True)
class Part:
    """One draw: rows that are labelled, round by round over the classes, and rows that judge."""

    labelled: Index
    test: Index


@dataclass(frozen=True)
class Fixed:
    """k labelled rows a class (or all), drawn from a pool; the test part stays.

    labels: [n], the class of every row; pool: rows that may be labelled; test: rows that judge, or None for
    stratified folds of the pool: draw d is then judged on fold d modulo the number of folds. group: [n],
    whom each row comes from; folds then divide groups, so that nobody is both labelled and judged.
    """

    labels: Index
    pool: Index
    test: Index | None
    seed: int = 0
    group: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        """Raise MetatlError where no class can be both labelled and judged."""
        if self.group is not None and self.test is not None:
            both = {*self.group[self.pool].tolist()} & {*self.group[self.test].tolist()}
            if both:
                raise MetatlError(
                    f"group {min(map(str, both))!r} has rows to learn from and rows that judge; give whole "
                    "groups to either, or leave the group out"
                )
        if self.group is not None and self.test is None and self.folds < 2:
            raise MetatlError("all rows are of one group: folds by group need two or more")
        if self.test is None and self.folds < 2:
            raise MetatlError("a class has one row only: folds need two or more of each class")

    @property
    def folds(self) -> int:
        """Number of folds where there is no test part."""
        if self.group is not None:
            return min(MOST_FOLDS, len(np.unique(self.group[self.pool])))
        return min(MOST_FOLDS, int(np.bincount(self.labels[self.pool]).min()))

    @property
    def most(self) -> int:
        """The largest k that every class and every draw can give."""
        classes = int(self.labels[self.pool].max()) + 1
        free = [self.labels[self._free(draw)] for draw in range(self.draws(None, 1))]
        return int(min(np.bincount(labels, minlength=classes).min() for labels in free))

    def draws(self, k: int | None, asked: int) -> int:
        """Draws of k labelled rows a class; all rows, or none, can be drawn once, or once for every fold."""
        if k:
            return asked
        return 1 if self.test is not None else self.folds

    def draw(self, k: int | None, draw: int) -> Part:
        """Draw number `draw`: the rows of a smaller k are among those of a larger one. k None: all."""
        order = _rounds(self.labels, self._free(draw), np.random.default_rng([self.seed, draw, 1]), k)
        test = self.test if self.test is not None else np.flatnonzero(self._fold_of() == draw % self.folds)
        return Part(order, test)

    def everything(self) -> Index:
        """All rows that may be labelled, round by round: what the saved model is fitted on."""
        return _rounds(self.labels, self.pool, np.random.default_rng([self.seed, 0, 1]), None)

    def _free(self, draw: int) -> Index:
        if self.test is not None:
            return self.pool
        return self.pool[self._fold_of()[self.pool] != draw % self.folds]

    def _fold_of(self) -> Index:
        """[n]: the fold of every row of the pool, -1 elsewhere."""
        fold = np.full(len(self.labels), -1, np.int64)
        group = None if self.group is None else self.group[self.pool]
        split = divided(self.labels[self.pool], group, self.folds, [self.seed, 2])
        fold[self.pool] = split
        return fold


def divided(labels: Index, group: NDArray[Any] | None, folds: int, seed: Any) -> Index:
    """[n]: a fold for every row: each class spread evenly, or whole groups, the largest first."""
    if group is None:
        return stratified(labels, folds, seed)
    names, of = np.unique(group, return_inverse=True)
    sizes, held = np.bincount(of), np.zeros(folds, np.int64)
    order = np.random.default_rng(seed).permutation(len(names))
    into = np.zeros(len(names), np.int64)
    for name in order[np.argsort(-sizes[order], kind="stable")]:
        into[name] = int(held.argmin())
        held[into[name]] += sizes[name]
    return into[of]


def stratified(labels: Index, folds: int, seed: Any) -> Index:
    """[n]: a fold for every row, each class spread as evenly as it goes."""
    rng, fold, first = np.random.default_rng(seed), np.zeros(len(labels), np.int64), 0
    for label in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == label))
        fold[rows] = (first + np.arange(len(rows))) % folds
        first += len(rows)  # the next class goes on there, so that small folds are as large as others
    return fold


def _rounds(labels: Index, rows: Index, rng: np.random.Generator, k: int | None) -> Index:
    """Rows in random order, round by round over the classes, k of each (all for None)."""
    places: list[tuple[int, int, int]] = []
    for label in np.unique(labels[rows]):
        own = rng.permutation(rows[labels[rows] == label])[:k]
        places += [(turn, int(label), int(row)) for turn, row in enumerate(own)]
    return np.array([row for _, _, row in sorted(places)], np.int64)
