"""Anybody's rows as people: a source that a config names, and the net for such rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metatl.data import GroupArrays, Source, Table
from metatl.data.fetch import placed
from metatl.data.labelled import Array, array_names, read_npz
from metatl.data.tables import read_table
from metatl.data.tables.columns import as_text
from metatl.data.tables.target import class_names
from metatl.features import GroupFeatures
from metatl.features.group_features import INPUTS
from metatl.text import near
from metatl.transferring.opened import Words, usual_net
from metatl.types import MetatlError

FRACTIONS = (0.5, 0.2, 0.3)
"""Of the people: to learn from, to choose values on, to adapt to."""
FEWEST, SHARE, USUAL = 5, 0.5, 5
"""People at least; the share of them that has a class which stays, and rows of it on each of two sides."""
Made = tuple[Source, dict[str, Any], tuple[str, ...]]
"""The source, the net as a config names it, and the classes that are left out, a line each."""
NUMBERS = {"class_path": "metatl.models.mlp.MLP", "init_args": {"hidden": [128, 64]}}
WINDOWS = {"class_path": "metatl.models.conv1d.Conv1d", "init_args": {"filters": 32}}
"""The nets for rows of numbers (columns, features), and for windows."""


@dataclass(frozen=True)
class Before:
    """What is learned before anybody's rows are seen.

    net: pre-trained, by name; size: of what it reads; source: data that a net is learned on.
    """

    net: str | None = None
    size: int | None = None
    source: str | None = None

    def sees(self, words: Words) -> bool:
        """Whether rows with these words are seen through such a net, which stays as it is."""
        return usual_net(words) is not None or any(value is not None for value in vars(self).values())


class _PeopleRows(NamedTuple):
    """A source of all classes, the net as a config names it, and of each row class, person and part."""

    source: GroupArrays | GroupFeatures | Table
    net: dict[str, Any]
    label: Array
    whose: Array
    part: Array | None


def people_of(
    path: Path, words: Words, labelled: Sequence[int], seed: int, before: Before = Before()
) -> Made:
    """The people of a file, with the classes of which half have rows enough on two sides.

    labelled: numbers of labels of each class, smaller ones first.

    Raises MetatlError in one line for a word that lacks, and for too few people.
    """
    path = placed(path)
    if words.group is None or words.target is None:
        word, what = ("group", "whom a row comes from") if words.group is None else ("target", "the classes")
        raise MetatlError(f"--adapt-to group: name the column that says {what}, with --{word}")
    if words.several is not None:
        raise MetatlError("--adapt-to group takes one class a row; leave out --several")
    if not path.is_file():
        why = "is a folder, in which no column says whose a file is" if path.is_dir() else "no such file"
        raise MetatlError(
            f"{path}: {why}; name a table (CSV, Parquet, npz), which may list files with --audio or --photo"
        )
    if before.sees(words):
        found = _seen(path, words, words.group, words.target, seed, before)
    elif path.suffix == ".npz" and read_npz(path, ["x"]).get("x", np.zeros(0)).ndim > 2:
        found = _windows(path, words, words.group, words.target, seed)
    else:
        found = _table(path, words, words.group, words.target, seed)
    _enough(path, found.whose, found.part, words)
    smallest, left = _smallest(path, found.label, found.whose, found.part, labelled)
    return replace(found.source, smallest=smallest), found.net, left


def _seen(path: Path, words: Words, group: str, target: str, seed: int, before: Before) -> _PeopleRows:
    """Rows of any kind as a frozen net sees them."""
    inputs = {name: said for name in INPUTS if (said := getattr(words, name))}
    net = before.net, before.size, before.source
    source = GroupFeatures(str(path), target, group, words.apart, inputs, *net, FRACTIONS, seed=seed)
    found = source.examples()
    label = np.array(found.targets.names)[found.targets.values.numpy()]
    assert found.group is not None
    return _PeopleRows(source, NUMBERS, label, found.group, found.part_of)


def _windows(path: Path, words: Words, group: str, target: str, seed: int) -> _PeopleRows:
    wanted = [group, target, *([words.apart] if words.apart else [])]
    held = read_npz(path, ["x", "scale", *wanted])
    for name in wanted:
        if name not in held:
            there = array_names(path)
            raise MetatlError(f"{path} has no array {name!r}{near(name, there.split(', '))}")
    x, scale = held["x"], held.get("scale")
    counted = x.dtype.kind in "iu" and scale is not None and scale.shape == x.shape[1:2]
    source = GroupArrays(
        str(path),
        group,
        words.apart,
        FRACTIONS,
        seed=seed,
        target=target,
        scale="scale" if counted else None,
        standardise=True,
    )
    label, whose = (held[name].astype(np.str_) for name in (target, group))
    return _PeopleRows(source, WINDOWS, label, whose, held.get(words.apart or ""))


def _table(path: Path, words: Words, group: str, target: str, seed: int) -> _PeopleRows:
    columns = read_table(path)
    columns.require([target, group, *([words.apart] if words.apart else [])])
    label = np.array([one or "" for one in class_names(columns, target)])
    whose = np.array([one or "" for one in as_text(columns[group])])
    part = None if words.apart is None else np.array([one or "" for one in as_text(columns[words.apart])])
    drop = tuple(name.strip() for name in (words.drop or "").split(",") if name.strip())
    source = Table(str(path), target, group, words.apart, drop, FRACTIONS, seed=seed, audio=words.audio)
    return _PeopleRows(source, NUMBERS, label, whose, part)


def _enough(path: Path, group: Array, part: Array | None, words: Words) -> None:
    """Raise MetatlError for too few people, and for one session alone."""
    if part is not None and len(np.unique(part)) < 2:
        raise MetatlError(
            f"{path}: all rows have one {words.apart}, {part[0]!s:.40}, so that none lie apart; name another "
            "column with --apart, or none for halves at random"
        )
    count = len(np.unique(group))
    if count < FEWEST:
        raise MetatlError(
            f"{path}: {count} different values of {words.group}; learning on some people, choosing values on "
            f"others and adapting to the rest takes {FEWEST} or more"
        )


def _smallest(
    path: Path, label: Array, group: Array, part: Array | None, labelled: Sequence[int]
) -> tuple[int, tuple[str, ...]]:
    """Rows of the smallest class of which half of the people have enough on two sides; the others."""
    people = np.unique(group)
    sizes = {one: int((label == one).sum()) for one in np.unique(label).tolist() if one}
    sides = {one: [_side(label == one, group == who, part) for who in people] for one in sizes}
    usual, having, wanted = list[str](), dict[str, int](), 0
    for wanted in (max(USUAL, *labelled), labelled[0]):
        having = {one: sum(side >= wanted for side in found) for one, found in sides.items()}
        usual = [one for one, count in having.items() if count >= SHARE * len(people)]
        if len(usual) > 1:
            break
    else:
        raise MetatlError(
            f"{path}: fewer than two classes of which half of the people have {wanted} rows on each of two "
            "sides; lower --labelled, or name another column with --apart, or none"
        )
    least = min(sizes[one] for one in usual)
    left = [one for one, size in sizes.items() if size < least]
    many = len(people)
    why = f"people have {wanted} rows of it on each of two sides"
    return least, tuple(f"class {one} ({having[one]} of {many} {why})" for one in left)


def _side(of_class: Array, own: Array, part: Array | None) -> int:
    """Rows of a class on the smaller of a person's two sides, at most."""
    rows = of_class & own
    if part is None:
        return int(rows.sum()) // 2
    counts = np.unique(part[rows], return_counts=True)[1]
    return int(np.sort(counts)[:-1].sum()) if len(counts) else 0
