"""One's own rows with several targets: all but one are learned together, and tasks are of that one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.checked import Channels, as_inputs
from metatl.data.class_data import ClassData
from metatl.data.division import shares
from metatl.data.labelled import read_npz
from metatl.data.many_targets import ManyTargets
from metatl.data.real_rows import RealRows
from metatl.data.several_targets_data import SeveralTargetsData
from metatl.data.source import SPLITS, Source, device_of
from metatl.data.tables import Columns, Encoder, read_table
from metatl.data.tables.arrays import from_arrays
from metatl.data.tables.gaps import over_all_rows
from metatl.data.targets import MISSING, Targets
from metatl.types import Batch, MetatlError, Split

FEWEST = 20
"""Rows that every target has, at least."""


@final
@dataclass(frozen=True)
class SeveralTargets(Source):
    """Rows with several targets, cells of which may be empty; splits are of rows.

    Mini-batches (the stream `LabelledRows`) have all `targets` by name, which `OfTarget` terms learn.
    Episodes are of the one column `task`: of its classes (way, shot and query rows of each), or of its values
    (shot and query rows); rows without it are left out there.

    path: a table, whose other columns are the inputs (encoded as those of meta_train say), or an npz file
    with `x` [n, ...] of three axes or more (pictures) and the targets as arrays [n]. targets: columns that
    are learned together. task: the column of the episodes, which may be one of them. drop: columns that are
    no inputs. fractions: shares of the rows for meta_train, meta_val and meta_test, after a shuffle by
    `seed`. channels: where those of pictures lie, if their shape does not say.
    """

    path: str
    targets: tuple[str, ...]
    task: str
    drop: tuple[str, ...] = ()
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    seed: int = 0
    channels: Channels | None = None

    def load(self, device: str = "cpu") -> SeveralTargetsData:
        """Read and divide; MetatlError in one line for whatever does not work out."""
        place = device_of(device)
        x, table = self._read()
        found = {name: over_all_rows(table, name, FEWEST) for name in self._names(table)}
        found = {name: (one, y.float() if y.is_floating_point() else y) for name, (one, y) in found.items()}
        parts: dict[Split, Tensor] = {
            split: torch.tensor(rows)
            for split, rows in shares(table.rows, self.fractions, self.seed, self.path, "rows").items()
            if rows
        }
        if "meta_train" not in parts:
            raise MetatlError(f"{self.path}: meta_train is empty, and nothing is learned; give it some rows")
        inputs = self._encoded(table, parts["meta_train"]) if x is None else x
        name = Path(self.path).stem
        y = {one: found[one][1] for one in self.targets}
        batches: dict[Split, Batch] = {
            split: Batch(inputs[at].to(place), {one: values[at].to(place) for one, values in y.items()})
            for split, at in parts.items()
        }
        facts: dict[str, Any] = {
            "split": "by row, shuffled",
            "seed": self.seed,
            "task": self.task,
            "targets": {one: list(found[one][0].names) for one in self.targets},
            "notes": list(table.notes),
        }
        tasks = _tasks(name, inputs, *found[self.task], parts, facts, place)
        return SeveralTargetsData(ManyTargets(name, batches), tasks)

    def _read(self) -> tuple[Tensor | None, Columns]:
        """The pictures, if the rows are some, and the columns."""
        if Path(self.path).suffix != ".npz":
            return None, read_table(self.path)
        held = read_npz(Path(self.path), None)
        if np.ndim(held.get("x", 0.0)) < 3:
            return None, read_table(self.path)
        x = as_inputs(held.pop("x"), f"{self.path}: ", self.channels)
        table = from_arrays(
            {name: array for name, array in held.items() if len(array) == len(x)}, self.path, {}
        )
        return x, table

    def _names(self, table: Columns) -> list[str]:
        if not self.targets:
            raise MetatlError("SeveralTargets: targets is empty; name the columns that are learned together")
        twice = next((one for one in self.targets if self.targets.count(one) > 1), None)
        if twice is not None:
            raise MetatlError(f"SeveralTargets: targets names {twice!r} twice; once will do")
        table.require([*self.targets, self.task, *self.drop])
        return list(dict.fromkeys([*self.targets, self.task]))

    def _encoded(self, table: Columns, fitted: Tensor) -> Tensor:
        """Inputs [n, width] of the columns that are no targets."""
        rest = table.drop({*self.targets, self.task, *self.drop})
        if not len(rest):
            raise MetatlError(f"{self.path} has no column beside the targets; add some that could tell them")
        return Encoder.fit(rest.take(fitted.numpy()))(rest)


def _tasks(
    name: str,
    inputs: Tensor,
    targets: Targets,
    y: Tensor,
    parts: dict[Split, Tensor],
    facts: dict[str, Any],
    place: torch.device,
) -> ClassData | RealRows:
    """Episodes of one target, over the rows of each split that have it."""
    real = targets.kind != "classes"
    has = ~y.isnan().flatten(1).any(1) if real else y != MISSING
    held: dict[Split, Tensor] = {split: at[has[at]] for split, at in parts.items()}
    if real:
        return RealRows(
            name, {s: Batch(inputs[at].to(place), y[at].to(place)) for s, at in held.items()}, facts
        )
    lacking = next(
        (
            (split, targets.names[c])
            for split in SPLITS
            if split in held
            for c in range(len(targets.names))
            if not bool((y[held[split]] == c).any())
        ),
        None,
    )
    if lacking is not None:
        raise MetatlError(
            f"{name}: {lacking[0]} has no row of the class {lacking[1]!r}; change fractions or seed, or "
            "leave rare classes out"
        )
    banks: dict[Split, Bank] = {
        split: Bank.from_arrays(inputs[at].numpy(), y[at].numpy(), targets.names, name).to(place)
        for split, at in held.items()
    }
    return ClassData(name, banks, facts)
