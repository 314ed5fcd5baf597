"""A larger net that teaches: its features of a problem's rows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.features import Computed, Features, features, forward, readable
from metatl.transferring.prepared import check_unit, prepared_rows
from metatl.transferring.problem import Problem
from metatl.transferring.rows import Row
from metatl.types import MetatlError


def teachable(found: Mapping[str, Row], named: list[str], teacher: bool) -> dict[str, Row]:
    """The rows that need no teacher, or all where there is one.

    Raises MetatlError for one that was asked for by name and has none, and for a teacher without a use.
    """
    needing = [name for name, row in found.items() if row.teacher is not None]
    for name in needing:
        if name in named and not teacher:
            raise MetatlError(
                f"method {name!r} learns from a larger net; name it with --teacher (teacher=... in Python)"
            )
    if teacher and not needing:
        raise MetatlError(f"teacher: none of {', '.join(found)} learns from one; leave --teacher out")
    return {name: row for name, row in found.items() if teacher or row.teacher is None}


def learned_from(name: str | Path | None, problem: Problem) -> tuple[Backbone | None, Features | None]:
    """The teacher of this name, if any, and its features."""
    if name is None:
        return None, None
    teacher = backbone(name)
    return teacher, features_of(teacher, problem)


def features_of(teacher: Backbone, problem: Problem) -> Features:
    """What the teacher's frozen body makes of every row; MetatlError for rows that it does not read."""
    check_unit(teacher, problem.inputs)
    if problem.inputs.columns is not None:
        return Computed(forward(teacher.body(), teacher.preparation(problem.inputs.columns)))
    prepared = prepared_rows(problem.inputs, teacher)
    batch = readable(prepared.one, teacher.preparation.stacked)
    found = features(teacher.body, teacher.key, problem.digests, batch)
    held = [row for row in found if row is not None]
    if len(held) < len(found):
        raise MetatlError(f"the teacher cannot read {len(found) - len(held)} of the {problem.unit}s")
    return Computed(torch.stack(held))


def told_of(teacher: Backbone | None) -> list[str]:
    """A note on the teacher, where there is one."""
    if teacher is None:
        return []
    sha = str(teacher.facts["weights_sha256"])[:12]
    return [f"Teacher: {teacher.facts['net']}, {teacher.facts['weights']}, SHA-256 {sha}."]
