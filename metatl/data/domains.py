"""Several domains with the same classes: source rows with labels, target rows without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import final

import numpy as np
import torch
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.checked import Channels
from metatl.data.class_data import ClassData
from metatl.data.domain_arrays import DomainFile, DomainPart, alike, called
from metatl.data.domain_data import DomainData
from metatl.data.source import Source, device_of
from metatl.text import near
from metatl.types import MetatlError


@final
@dataclass(frozen=True)
class Domains(Source):
    """Domains with the same classes: labelled rows of sources, those of a target labelled where they judge.

    Mini-batches (meta_train) and validation (meta_val) are rows of the sources; the stream `Domain` gives
    rows of a domain without labels; episodes have way * shot unlabelled rows to adapt to and way * query to
    judge by, of the target in meta_test and of the sources in meta_val. The labels of the target's training
    rows are never read.

    files: the npz file of each domain, or the folder of its authors, by its name (see `DomainFile`), or one
    file with a `column` that names each row's domain. sources, target: their names; the same one in both
    learns from the target's own labels. size: side of pictures. rows: at most so many training rows of each
    domain. held_out: share of the sources' training rows for meta_val. test: share of rows that judge where a
    file does not say. channels: where those of pictures lie, if their shape does not say.
    """

    files: dict[str, str] = field(hash=False)
    sources: tuple[str, ...]
    target: str
    column: str | None = None
    size: int | None = None
    rows: int | None = None
    held_out: float = 0.1
    test: float = 0.2
    seed: int = 0
    channels: Channels | None = None

    def load(self, device: str = "cpu") -> DomainData:
        """Read and divide; MetatlError for a file that is none, or domains that do not fit together."""
        place = device_of(device)
        self._check()
        names = list(dict.fromkeys((*self.sources, self.target)))
        read = {name: self._file(name).read() for name in names}
        ends = [(name, part) for name in names for part in ("train", "test")]
        x = dict(zip(ends, alike([read[n][p] for n, p in ends], "Domains"), strict=True))
        scales = {read[n][p].scale for n, p in ends}
        scale = scales.pop() if len(scales) == 1 and x[ends[0]].dtype == torch.uint8 else 1.0
        kept = {name: self._kept(len(read[name]["train"].x)) for name in names}
        train, val = self._labelled(read, x, kept, scale)
        judged = called(read[self.target]["test"].y, self.target)
        strange = sorted({*judged} - {*train.names})
        if strange:
            raise MetatlError(
                f"{self.target} has the class {strange[0]!r}, and the sources do not (an open set); leave "
                "such rows out"
            )
        test = _bank([x[self.target, "test"]], [judged], train.names, scale)
        labelled = ClassData(
            f"{' and '.join(self.sources)} to {self.target}",
            {"meta_train": train.to(place), "meta_val": val.to(place), "meta_test": test.to(place)},
        )
        unlabelled = {
            name: Bank.sorted_by_class(x[name, "train"][kept[name]], [len(kept[name])], [name], scale).to(
                place
            )
            for name in names
        }
        return DomainData(labelled, unlabelled, self.sources, self.target)

    def _check(self) -> None:
        if not self.sources:
            raise MetatlError("Domains: sources is empty; name the domains whose rows have labels")
        for name in (*self.sources, self.target) if self.column is None else ():
            if name not in self.files:
                raise MetatlError(f"Domains: {name!r} has no file{near(name, [*self.files])}")
        if self.column is not None and len(self.files) != 1:
            raise MetatlError("Domains: with a column, files names one file that holds all domains")
        for name, share in (("held_out", self.held_out), ("test", self.test)):
            if not 0 < share < 1:
                raise MetatlError(f"Domains: {name} is {share}; give a share between 0 and 1")
        if self.rows is not None and self.rows < 2:
            raise MetatlError(f"Domains: rows is {self.rows}; give 2 or more, or leave it out for all")

    def _file(self, name: str) -> DomainFile:
        place = self.files[name] if self.column is None else next(iter(self.files.values()))
        return DomainFile(place, name, self.column, self.size, self.test, self.seed, self.channels)

    def _kept(self, count: int) -> Tensor:
        """Training rows that are used, in an order of their own."""
        return torch.from_numpy(np.random.default_rng(self.seed).permutation(count)[: self.rows])

    def _labelled(
        self,
        read: dict[str, dict[str, DomainPart]],
        x: dict[tuple[str, str], Tensor],
        kept: dict[str, Tensor],
        scale: float,
    ) -> tuple[Bank, Bank]:
        """The sources' training rows: those to learn from, and those held out."""
        rows: tuple[list[Tensor], list[Tensor]] = ([], [])
        labels: tuple[list[list[str]], list[list[str]]] = ([], [])
        for name in dict.fromkeys(self.sources):
            cut = len(kept[name]) - max(round(self.held_out * len(kept[name])), 1)
            for place, own in enumerate((kept[name][:cut], kept[name][cut:])):
                rows[place].append(x[name, "train"][own])
                labels[place].append(called(read[name]["train"].y[own.numpy()], name))
        classes = _in_order({label for part in labels[0] for label in part})
        if len(classes) < 2:
            raise MetatlError(
                f"Domains: the sources have one class, {classes[0]!r}; there is nothing to tell apart"
            )
        known = {*classes}
        unseen = [label for part in labels[1] for label in part if label not in known]
        if unseen:
            raise MetatlError(f"Domains: class {unseen[0]!r} is only among the rows held out; lower held_out")
        return tuple(_bank(x, y, classes, scale) for x, y in zip(rows, labels, strict=True))  # pyright: ignore[reportReturnType]


def _in_order(labels: set[str]) -> list[str]:
    """By value where all are numbers."""
    return sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels)


def _bank(x: Sequence[Tensor], y: Sequence[list[str]], classes: Sequence[str], scale: float) -> Bank:
    """Rows sorted by class; a class may be empty."""
    places = {label: place for place, label in enumerate(classes)}
    index = torch.tensor([places[label] for part in y for label in part])
    order = index.sort(stable=True).indices
    return Bank.sorted_by_class(
        torch.cat(list(x))[order], torch.bincount(index, minlength=len(classes)).tolist(), classes, scale
    )
