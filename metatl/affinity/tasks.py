"""The tasks of one data set: values of a column, several targets, or the folders in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.data.examples import Examples, Index
from metatl.data.fixed import Fixed, stratified
from metatl.data.table_rows import table_file
from metatl.data.targets import Targets
from metatl.transferring.opened import Words, opened
from metatl.types import MetatlError


@dataclass(frozen=True)
class Task:
    """One task: rows as numbers x [n, d], their targets, and which are labelled or judge."""

    name: str
    x: Tensor
    targets: Targets
    task: Fixed

    @property
    def judging(self) -> Index:
        """Rows that judge; there are some (`divided_in`)."""
        assert self.task.test is not None
        return self.task.test


@dataclass(frozen=True)
class Found:
    """Examples by the name of their task, the net that such rows take, and whether tasks share their rows."""

    examples: dict[str, Examples]
    usual: str | None
    shared: bool


def found_in(data: Any, column: str | None, words: Words) -> Found:
    """The tasks that are asked for. Raises MetatlError in one line where there is only one."""
    if column is not None:
        whole, usual = opened(data, replace(words, group=column))
        assert whole.group is not None
        values = sorted({*whole.group.tolist()})
        some = {str(one): _own(whole, np.flatnonzero(whole.group == one)) for one in values}
        return Found(some, usual, shared=False)
    targets = [name.strip() for name in (words.target or "").split(",") if name.strip()]
    if len(targets) > 1:
        if twice := {name for name in targets if targets.count(name) > 1}:
            raise MetatlError(f"affinity: target {min(twice)!r} is named twice; name each task once")
        each = {
            name: opened(data, replace(words, target=name, drop=_with(words.drop, targets, name)))
            for name in targets
        }
        return Found({name: one for name, (one, _) in each.items()}, each[targets[0]][1], shared=True)
    folder = Path(data) if isinstance(data, str | Path) else None
    inside = [] if folder is None or not folder.is_dir() or table_file(folder, "train") else _inside(folder)
    if len(inside) < 2:
        raise MetatlError(
            "affinity: one task has nothing to help; name the column whose values are tasks (--tasks), "
            "several targets (--target a,b), or a folder with a folder or table for each task"
        )
    read = {one.stem: opened(one, words) for one in inside}
    return Found({name: one for name, (one, _) in read.items()}, next(iter(read.values()))[1], shared=False)


def _inside(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if not one.name.startswith("."))


def _with(drop: str | None, targets: Sequence[str], name: str) -> str:
    """The columns to drop, those of the other targets too."""
    return ",".join([*([drop] if drop else []), *(one for one in targets if one != name)])


def _own(whole: Examples, places: Index) -> Examples:
    """Rows of one task, with the classes that it has."""
    some = replace(whole.take(places), group=None)
    if some.targets.kind != "classes":
        return some
    there, values = torch.unique(some.targets.values, return_inverse=True)
    names = tuple(some.targets.names[int(one)] for one in there)
    return replace(some, targets=Targets("classes", names, values))


def usable(found: Found) -> tuple[dict[str, Examples], list[str]]:
    """The tasks that can be learned and judged, and a line on each that cannot.

    Raises MetatlError where fewer than two are left, or where they are of several kinds.
    """
    kept, out = dict[str, Examples](), list[str]()
    for name, one in found.examples.items():
        why = _lacks(one)
        if why:
            out.append(f"task {name!r} ({why})")
        else:
            kept[name] = one
    if len(kept) < 2:
        raise MetatlError(f"affinity: {len(kept)} tasks are left; {'; '.join(out[:3]) or 'give two or more'}")
    kinds = {one.targets.kind for one in kept.values()}
    if len(kinds) > 1 or "labels" in kinds or any(_wide(one) for one in kept.values()):
        raise MetatlError(
            "affinity: tasks must all be of classes, or all of one real value each; leave the others out"
        )
    return kept, out


def _wide(one: Examples) -> bool:
    return one.targets.kind == "real" and one.targets.outputs != 1


def _lacks(one: Examples) -> str:
    values = one.targets.values
    if one.targets.kind == "classes":
        counts = np.bincount(values.numpy(), minlength=one.targets.outputs)
        if len(counts) < 2:
            return "one class only"
        return f"{counts.min()} rows of a class; four or more are needed" if counts.min() < 4 else ""
    if len(values) < 8:
        return f"{len(values)} rows; eight or more are needed"
    return "its target never varies" if bool((values == values[:1]).all()) else ""


def divided_in(one: Examples, seed: int, shared: bool) -> Fixed:
    """Which rows may be labelled and which judge: its own test part, or half of every class.

    shared: tasks have the same rows, which are then divided alike in all of them, by what they are called.
    """
    strata = one.targets.strata()
    if one.test is not None:
        return Fixed(strata, one.pool, one.test, seed)
    if shared:
        said = [hashlib.sha256(f"{seed} {name}".encode()).digest()[0] % 2 for name in one.inputs.ids]
        fold = np.array(said, np.int64)
    else:
        fold = stratified(strata, 2, [seed, 5])
    return Fixed(strata, np.flatnonzero(fold == 0), np.flatnonzero(fold == 1), seed)
