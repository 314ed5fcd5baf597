"""Random bit patterns with arbitrary labels: tasks that can be memorised and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from functools import lru_cache
from math import comb
from typing import Any, final

import torch
from torch import Tensor

from metatl.data.counter import bits, first_of_shuffle, number
from metatl.data.episodes import combinations
from metatl.data.source import SPLITS, Data, Kind, Source, Tasks, device_of
from metatl.types import Batch, Episode, MetatlError, Split

_WORD, _SUBSETS, _ORDER, _EXAMPLES = 501, 502, 503, 504


@final
@dataclass(frozen=True)
class Patterns(Source):
    """`categories` times `examples` different patterns of 0 and 1; a task is a subset of the categories.

    A task keeps the labels of all categories, and its query rows are support rows: what is scored is how well
    it memorised them. The subsets, in one random order, serve meta_train (the first `subsets`), meta_val (the
    next), and meta_test: those of meta_train once more (as published), then the next again (held out).
    Source: the code beside Nikolić, Andrić & Nikolić 2023, arXiv 2303.16154.
    """

    embedded = True
    bits: int = 25
    categories: int = 10
    examples: int = 200
    subsets: int = 15
    seed: int = 0

    def load(self, device: str = "cpu") -> PatternsData:
        """Drawn anew from the seed; MetatlError for more patterns than there are."""
        wanted = self.categories * self.examples
        if not 1 <= self.bits <= 62 or self.categories < 2 or self.examples < 1 or self.subsets < 1:
            raise MetatlError(
                f"patterns: {self.bits} bits, {self.categories} categories, {self.examples} examples and "
                f"{self.subsets} subsets: bits must be 1 .. 62, categories at least 2, the others at least 1"
            )
        if wanted > 1 << self.bits:
            raise MetatlError(
                f"patterns: {self.bits} bits have no {wanted} different patterns: take more bits"
            )
        place = device_of(device)
        words = _different(number(_WORD, self.seed), wanted, self.bits, place)
        x = (words[:, None] >> torch.arange(self.bits, device=place) & 1).to(torch.float32)
        return PatternsData(self, x.view(self.categories, self.examples, self.bits))


@final
@dataclass(frozen=True)
class PatternsData(Data):
    """The patterns x [categories, examples, bits]."""

    source: Patterns
    x: Tensor
    kind: Kind = "classification"
    name: str = "patterns"

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """One number a bit."""
        return (self.source.bits,)

    def outputs(self, tasks: Tasks) -> int:
        """One unit for every category, whatever a task's subset."""
        return self.source.categories

    def classes(self, split: Split) -> int:
        """All categories."""
        return self.source.categories

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError for more classes, examples or subsets than there are."""
        tasks.check(self.name)
        own, (way, shot, query) = self.source, tasks.one
        if way > own.categories or shot > own.examples or query > shot:
            raise MetatlError(
                f"way {way}, shot {shot}, query {query}: patterns has {own.categories} "
                f"categories of {own.examples} examples, and scores support rows, so query is at most shot"
            )
        if comb(own.categories, way) < 3 * own.subsets:
            raise MetatlError(
                f"{own.categories} categories have {comb(own.categories, way)} subsets of {way}, "
                f"but three times {own.subsets} are needed: lower data.subsets"
            )

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """Episode i has subset i of the split (modulo their number), its rows round by round."""
        self.check(split, tasks)
        classes, examples = self._plan(split, tasks, seed, self._indices(first, count))
        x = self.x[classes[:, None], examples].flatten(1, 2)
        way, shot, query = tasks.one
        y = classes.repeat(1, shot)
        rows = query * way
        return Episode(Batch(x, y), Batch(x[:, :rows], y[:, :rows]))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the recipe and of what episodes 0 .. count - 1 hold."""
        digest = hashlib.sha256(repr((self.describe(), split, asdict(tasks))).encode())
        for part in self._plan(split, tasks, seed, self._indices(0, count)):
            digest.update(part.cpu().contiguous().numpy().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Rows of all categories in one random order, over and over (it is not shuffled between epochs)."""
        n = self.source.categories * self.source.examples
        rows = _order(number(_ORDER, seed), n, self.x.device)[self._indices(step * size, size) % n]
        return Batch(self.x.flatten(0, 1)[rows], rows // self.source.examples)

    def describe(self) -> dict[str, Any]:
        """Name and recipe."""
        return {"name": self.name, **asdict(self.source), "scored": "the rows that were learned"}

    def _indices(self, first: int, count: int) -> Tensor:
        return torch.arange(first, first + count, device=self.x.device)

    def _plan(self, split: Split, tasks: Tasks, seed: int, episodes: Tensor) -> tuple[Tensor, Tensor]:
        """Categories [b, way] and examples [b, shot, way] of these episodes."""
        own, total = self.source, comb(self.source.categories, tasks.one.way)
        key = torch.tensor(number(_SUBSETS, own.seed), device=self.x.device)
        train, val, new = first_of_shuffle(key, total, total, 3 * own.subsets).view(3, -1)
        subsets = {"meta_train": train, "meta_val": val, "meta_test": torch.cat([train, new])}[split]
        classes = combinations(own.categories, tasks.one.way, subsets[episodes % len(subsets)])
        keys = bits(bits(number(_EXAMPLES, seed, SPLITS.index(split)), episodes)[:, None], classes)
        examples = first_of_shuffle(keys, own.examples, own.examples, tasks.one.shot)
        return classes, examples.transpose(1, 2)


@lru_cache(maxsize=4)
def _order(key: int, n: int, device: torch.device) -> Tensor:
    return first_of_shuffle(torch.tensor(key, device=device), n, n, n)


def _different(key: int, count: int, width: int, device: torch.device) -> Tensor:
    """`count` different random words of `width` bits, in the order in which they are drawn."""
    if width <= 20:
        return first_of_shuffle(torch.tensor(key, device=device), 1 << width, 1 << width, count)
    found = torch.zeros(0, dtype=torch.int64, device=device)
    drawn = 0
    while len(found) < count:
        drawn += 2 * count
        words = bits(key, torch.arange(drawn, device=device)) & ((1 << width) - 1)
        ordered, turn = words.sort(stable=True)
        first = torch.cat([turn[:1], turn[1:][ordered[1:] != ordered[:-1]]])
        found = words[first.sort().values]
    return found[:count]
