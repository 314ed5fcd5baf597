"""Glyphs: a procedural data set of handwritten characters of invented alphabets; nothing to download."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import final

import torch
from torch import Tensor
from tqdm import tqdm

from metatl.data.bank import Bank
from metatl.data.cache import Arrays, cached
from metatl.data.class_data import ClassData
from metatl.data.counter import bits, number
from metatl.data.drawing import draw
from metatl.data.source import SPLITS, Source, device_of
from metatl.data.strokes import programs
from metatl.types import MetatlError, Split

VERSION = 1
"""Raised whenever a change of the renderer changes the images; part of the content fingerprint."""
_DRAWING, _APART, _CHUNK = 103, 1 << 20, 16


@final
@dataclass(frozen=True)
class Glyphs(Source):
    """Characters of invented alphabets, `size` x `size` grey, ink 1 on paper 0; alphabets disjoint by split.

    `alphabet` characters in a row share a vocabulary of `vocabulary` pen strokes; fewer strokes make
    characters more alike. jitter: how unsteady the hand is (at 1, the nearest class mean of pixels is right
    in about 40 % of 5-way 1-shot queries). A split's images do not depend on how many classes the others
    have.
    """

    embedded = True
    train_classes: int = 1000
    val_classes: int = 150
    test_classes: int = 300
    examples: int = 20
    size: int = 28
    jitter: float = 1.0
    alphabet: int = 25
    vocabulary: int = 8
    seed: int = 0

    def load(self, device: str = "cpu") -> ClassData:
        """Rendered once and kept in the cache; raises MetatlError for sizes that make no data set."""
        self._check()
        place = device_of(device)
        recipe = f"glyphs v{VERSION} {asdict(self)}"
        arrays = cached(f"glyphs-{hashlib.sha256(recipe.encode()).hexdigest()[:16]}", self._render_all)
        banks: dict[Split, Bank] = {
            split: Bank.sorted_by_class(
                torch.from_numpy(x).flatten(0, 1)[:, None],
                [self.examples] * len(x),
                [f"glyph{first + c}" for c in range(len(x))],
                1 / 255,
            ).to(place)
            for (split, first), x in zip(self._firsts().items(), arrays.values(), strict=True)
        }
        facts = {"split": "by class, alphabets disjoint", "recipe": asdict(self), "version": VERSION}
        return ClassData("glyphs", banks, facts, recipe, negative=True)

    def render(self, characters: Tensor) -> Tensor:
        """The drawings of these characters, [c, examples, size, size] uint8."""
        own = bits(number(self.seed, _DRAWING), characters)[:, None]
        program = programs(self.seed, characters, self.alphabet, self.vocabulary)
        return draw(program, bits(own, torch.arange(self.examples)), self.size, self.jitter)

    def _firsts(self) -> dict[Split, int]:
        return {split: place * _APART for place, split in enumerate(SPLITS)}

    def _render_all(self) -> Arrays:
        counts = (self.train_classes, self.val_classes, self.test_classes)
        with tqdm(total=sum(counts), desc="drawing glyphs", unit="class", delay=1, leave=False) as bar:

            def part(first: int, count: int) -> Tensor:
                pieces: list[Tensor] = []
                for start in range(0, count, _CHUNK):
                    stop = min(start + _CHUNK, count)
                    pieces.append(self.render(torch.arange(first + start, first + stop)))
                    bar.update(stop - start)
                return torch.cat(pieces)

            splits = zip(self._firsts().items(), counts, strict=True)
            return {split: part(first, count).numpy() for (split, first), count in splits}

    def _check(self) -> None:
        for field, most in (("train_classes", _APART), ("val_classes", _APART), ("test_classes", _APART)):
            if not 1 <= getattr(self, field) <= most:
                raise MetatlError(f"glyphs: {field} is {getattr(self, field)}: it must be 1 .. {most}")
        for field, least in (
            ("examples", 1),
            ("size", 8),
            ("alphabet", 1),
            ("vocabulary", 1),
        ):
            if not getattr(self, field) >= least:
                raise MetatlError(f"glyphs: {field} is {getattr(self, field)}: it must be at least {least}")
        if not 0 <= self.jitter <= 3:
            raise MetatlError(f"glyphs: jitter is {self.jitter}: it must be 0 .. 3")
