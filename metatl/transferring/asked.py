"""What a command asks for: numbers of labels, rows, and what its cells depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from metatl.transferring import rows
from metatl.transferring.backbone import Backbone
from metatl.transferring.cells import ALL
from metatl.transferring.fit import started
from metatl.transferring.problem import Problem
from metatl.transferring.rows import REFERENCE, Row
from metatl.transferring.source import SourcePhotos
from metatl.types import MetatlError


def counts(labelled: str | Sequence[int | str]) -> list[int | None]:
    """Labels of each class, smaller ones first, None for all; raises MetatlError for other words."""
    words = labelled.split(",") if isinstance(labelled, str) else [str(word) for word in labelled]
    found: set[int | None] = set()
    for word in words:
        word = word.strip()
        if word != ALL and not (word.isdecimal() and int(word) > 0):
            raise MetatlError(f"labelled: {word!r} is no number of labels; give 1,2,5,all say")
        found.add(None if word == ALL else int(word))
    return sorted(found, key=lambda k: float("inf") if k is None else k)


def names(methods: str | Sequence[str] | None) -> list[str] | None:
    """The rows asked for, and the reference, without which nothing is compared."""
    if methods is None:
        return None
    words = methods.split(",") if isinstance(methods, str) else list(methods)
    return list(dict.fromkeys([*(word.strip() for word in words), REFERENCE]))


def sourced(found: Mapping[str, Row], named: bool, source: bool) -> dict[str, Row]:
    """The rows that need no source photos, or all where there are some.

    Raises MetatlError for one that was asked for by name, and for a source that no row learns on.
    """
    needing = [name for name, row in found.items() if row.learner is not None]
    if named and needing and not source:
        raise MetatlError(
            f"method {needing[0]!r} first learns on photos of other classes; give them with --source PHOTOS2 "
            "(source=... in Python)"
        )
    if source and not needing:
        raise MetatlError(f"source: none of {', '.join(found)} learns on source photos; leave --source out")
    return {name: row for name, row in found.items() if source or row.learner is None}


def applicable(found: Mapping[str, Row], named: bool, net: Backbone) -> tuple[dict[str, Row], list[str]]:
    """The rows whose transform finds something in the net, and a note on each that is left out.

    Raises MetatlError for one that was asked for by name.
    """
    kept, notes = dict[str, Row](), list[str]()
    for name, row in found.items():
        try:
            if row.transform is not None:
                started(row, net, net.module, 2)
            kept[name] = row
        except MetatlError as error:
            if named:
                raise MetatlError(f"method {name!r} has nothing to act on in this net ({error})") from error
            notes.append(f"{name} is left out: the net has nothing for it to act on ({error}).")
    return kept, notes


def possible(problem: Problem, asked: Sequence[int | None]) -> tuple[list[int | None], list[str]]:
    """The numbers of labels that every class has, and a note on those that are too large."""
    most = problem.task.most
    found = [k for k in asked if k is None or k <= most]
    large = ", ".join(str(k) for k in asked if k is not None and k > most)
    if not found:
        raise MetatlError(
            f"labelled: the smallest class has {most} photos to learn from; {large} is too many"
        )
    note = f"{large} labels of each class are left out: the smallest class has {most} photos to learn from."
    return found, [note] if large else []


def large_enough(
    found: Mapping[str, Row], named: bool, net: Backbone, outputs: int
) -> tuple[dict[str, Row], list[str]]:
    """The rows whose mask has a weight left to choose in the net, and a note on each other one.

    Raises MetatlError for one that was asked for by name.
    """
    head = net.module.get_submodule(net.head)
    always = outputs * (next(head.parameters()).shape[-1] + 1)
    inside = {name for name, _ in head.named_parameters(net.head)}
    body = {name: torch.zeros_like(p) for name, p in net.module.named_parameters() if name not in inside}
    kept, notes = dict[str, Row](), list[str]()
    for name, row in found.items():
        try:
            if row.mask is not None:
                row.mask.shape(body, always)
            kept[name] = row
        except MetatlError as error:
            if named:
                raise MetatlError(f"method {name!r}: {error}") from error
            notes.append(f"{name} is left out: {error}.")
    return kept, notes


def digests(problem: Problem, net: Backbone, seed: int, source: SourcePhotos | None) -> dict[str, str]:
    """What cells depend on, beside their own row, number of labels and draw; a source, if any."""

    def digest(value: Any) -> str:
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]

    photos = [problem.classes, problem.labels.tolist(), problem.digests, problem.task.pool.tolist()]
    found = {"photos": digest(photos), "net or size": net.key, "seed": str(seed), "methods": rows.digest()}
    return found if source is None else {**found, "source": source.key}
