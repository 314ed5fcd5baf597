"""Three banks of disjoint classes and the samplers: what every data set of classes is once it is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import comb
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from metatl.data.balance import Balance, balanced_epoch, part_of
from metatl.data.bank import Bank
from metatl.data.class_episodes import composition, picked, unequal
from metatl.data.counter import bits, number
from metatl.data.episodes import MOST, Draw, batch_rows, draw_classes, draw_rows, epoch_order, key_of
from metatl.data.shown import Show
from metatl.data.source import SPLITS, Data, Kind, Tasks, indices
from metatl.types import Batch, Episode, Labels, MetatlError, Ragged, Split

_BALANCED = 5
_Epochs = dict[tuple[Split, int, int, Balance | None], Tensor]


@final
@dataclass(frozen=True)
class ClassData(Data):
    """A classification data set: one bank each for meta_train, meta_val and meta_test.

    facts: plain values for `describe`; recipe: the content fingerprint where a recipe fixes the content (a
    procedural data set), otherwise the banks' bytes are hashed; negative: a picture of an example is dark
    where the example is 1 (ink on paper); show: see `Data`.
    """

    name: str
    banks: Mapping[Split, Bank]
    facts: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recipe: str | None = None
    kind: Kind = "classification"
    negative: bool = False
    show: Show | None = field(default=None, repr=False, compare=False)
    capturable: ClassVar[bool] = True
    shape: tuple[int, ...] = field(init=False)
    _epochs: _Epochs = field(default_factory=_Epochs, repr=False, compare=False)

    def __post_init__(self) -> None:
        shapes = {bank.shape for bank in self.banks.values()}
        if len(shapes) != 1:
            raise MetatlError(f"{self.name}: the splits hold examples of different shapes: {sorted(shapes)}")
        object.__setattr__(self, "shape", shapes.pop())

    def outputs(self, tasks: Tasks) -> int:
        """One unit for each class of an episode: of the most, where they differ."""
        return tasks.ways[1]

    def numbering(self, tasks: Tasks) -> Labels:
        """Their own: classes are drawn; shared where every episode of any split has all classes in order."""
        names = {bank.names for bank in self.banks.values()}
        every = tasks.subsets == "enumerated" and len(names) == 1 and len(names.pop()) == tasks.way
        return "shared" if every else "own"

    def classes(self, split: Split) -> int:
        """Number of classes in the split."""
        return self._bank(split).classes

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError for more classes or examples than the split has, naming the smallest class."""
        tasks.check()
        bank, (name, size) = self._bank(split), self._bank(split).smallest
        way, _ = tasks.ways
        if way > bank.classes:
            has = f"{split} of {self.name} has {bank.classes} classes: lower way{self._without()}"
            raise MetatlError(f"way is {way}, but {has}")
        needed = 2 if tasks.shots is None else tasks.shots[1] + tasks.query
        if needed > size:
            what = "shots from sizes need 2 rows" if tasks.shots is None else f"shot + query is {needed}"
            raise MetatlError(
                f"{what}, but class {name!r} in {split} of {self.name} has {size} examples: lower shot or "
                f"query, or leave such classes out (data.smallest {needed}, where the source has it)"
            )
        if tasks.subsets == "enumerated" and comb(bank.classes, way) > MOST:
            raise MetatlError(
                f"{split} of {self.name} has too many subsets of {way} out of {bank.classes} classes "
                "to enumerate: use subsets: random"
            )

    def plan(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Draw:
        """The classes, rows and turns of these episodes; raises MetatlError as `check`."""
        self.check(split, tasks)
        bank = self._bank(split)
        return draw_rows(bank, tasks, key_of(seed, split), indices(first, count, bank.x.device))

    def class_names(self, split: Split, tasks: Tasks, seed: int, index: int) -> tuple[str, ...]:
        """Of the classes of episode `index`; raises MetatlError as `check`."""
        self.check(split, tasks)
        bank, key = self._bank(split), key_of(seed, split)
        places = indices(index, 1, bank.x.device)
        drawn = draw_classes(bank.classes, tasks.drawn(key, index, bank.classes), bits(key, places), places)
        return tuple(bank.names[place] for place in drawn[0].tolist())

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode | Ragged:
        """Episodes first .. first + count - 1, stacked; raises MetatlError as `check`."""
        if tasks.varied:
            self.check(split, tasks)
            return unequal(self._bank(split), tasks, key_of(seed, split), range(first, first + count))
        rows, bank = self.plan(split, tasks, seed, first, count).rows, self._bank(split)
        labels, shot = torch.arange(tasks.one.way, device=rows.device), tasks.one.shot

        def part(rows: Tensor) -> Batch:
            flat = rows.reshape(count, -1)
            return Batch(bank.gather(flat), labels.repeat(count, rows.shape[1]))

        return Episode(part(rows[:, :shot]), part(rows[:, shot:]))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the content and of the rows (which include the turns) that episodes 0 .. count - 1 use."""
        digest = hashlib.sha256(self.content.encode() + repr((split, tasks)).encode())
        if tasks.varied:
            bank, key = self._bank(split), key_of(seed, split)
            for index in range(count):
                of = composition(bank, tasks, key, index)
                digest.update(repr(of).encode())
                _, *rows = picked(bank, tasks, key, of, [index])
                digest.update(torch.cat(rows, 1).cpu().numpy().astype("<i8").tobytes())
            return digest.hexdigest()[:16]
        for first in range(0, count, 256):
            rows = self.plan(split, tasks, seed, first, min(256, count - first)).rows
            digest.update(rows.cpu().contiguous().numpy().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    @property
    def content(self) -> str:
        """The fingerprint of the data itself."""
        prints = (self.banks[split].fingerprint for split in SPLITS if split in self.banks)
        whole = self.recipe or "".join(prints)
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def rows(self, split: Split) -> Tensor:
        """All rows [n, *shape], class by class."""
        return self._bank(split).all

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Examples step * size onwards of an endless stream of shuffled epochs; y = class in the split."""
        return self._batch(split, size, seed, step, None)

    def balanced(self, split: Split, size: int, seed: int, step: int, balance: Balance) -> Batch:
        """The same of epochs with as many examples of every class."""
        return self._batch(split, size, seed, step, balance)

    def _batch(self, split: Split, size: int, seed: int, step: int, balance: Balance | None) -> Batch:
        bank, key = self._bank(split), key_of(seed, split)
        held = {None: sum(bank.sizes), "over": bank.classes * max(bank.sizes)}
        n = held.get(balance, bank.classes * min(bank.sizes))
        start, stop = step * size, (step + 1) * size
        order = part_of(lambda epoch: self._epoch(split, key, epoch, balance), n, start, stop)
        rows, labels = batch_rows(bank, order, key, torch.arange(start, stop, device=bank.x.device))
        return Batch(bank.gather(rows), labels)

    def describe(self) -> dict[str, Any]:
        """Name, classes and examples of each split, the facts given, the content fingerprint."""
        counts = {
            split: {"classes": bank.classes, "examples": sum(bank.sizes)}
            for split, bank in self.banks.items()
        }
        return {"name": self.name, "shape": list(self.shape), **counts, **self.facts, "content": self.content}

    def pixels(self) -> tuple[float, float] | None:
        """As every `Data`, where all splits say the same."""
        found = {bank.pixels for bank in self.banks.values()}
        told = found.pop() if len(found) == 1 else None
        if told is None or not self.negative:
            return told
        scale, shift = told
        return -scale, shift + 255 * scale

    def _without(self) -> str:
        """Said of a split with too few classes: how many the source left out."""
        left = len(self.facts.get("left_out", ()))
        return f" ({left} classes with fewer than {self.facts.get('smallest')} are left out)" if left else ""

    def _bank(self, split: Split) -> Bank:
        if split not in self.banks:
            raise MetatlError(f"{self.name} has no {split}: it has {', '.join(self.banks) or 'nothing'}")
        return self.banks[split]

    def _epoch(self, split: Split, key: int, epoch: int, balance: Balance | None) -> Tensor:
        """The order of an epoch, kept while it is in use: sorting it anew for every batch would be slow."""
        named = split, key, epoch, balance
        if named not in self._epochs:
            if len(self._epochs) > 3:
                self._epochs.pop(next(iter(self._epochs)))
            bank = self._bank(split)
            if balance is None:
                self._epochs[named] = epoch_order(bank, key, epoch)
            else:
                labels = torch.arange(bank.classes, device=bank.x.device).repeat_interleave(bank.counts)
                self._epochs[named] = balanced_epoch(labels, balance, number(key, _BALANCED, epoch))
        return self._epochs[named]
