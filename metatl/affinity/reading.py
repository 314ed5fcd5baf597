"""Rows of all tasks as numbers of one meaning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.affinity.tasks import Task, divided_in, found_in, usable
from metatl.data.tables import Columns, Encoder
from metatl.data.tables.plan import without_part
from metatl.transferring.backbone import Backbone, backbone, no_net
from metatl.transferring.opened import Words
from metatl.transferring.problem import Problem, read_problem
from metatl.types import MetatlError


def read_tasks(
    data: Any, column: str | None, words: Words, net: str | None, size: int | None, k: int, seed: int
) -> tuple[list[Task], Backbone, list[str]]:
    """The tasks with their rows as a frozen body or the columns give them, standardised.

    Means and deviations are those of all rows that may be labelled. Neither targets nor rows that judge
    are looked at. Raises MetatlError in one line for what cannot work, such
    as k labels of a class that has fewer.
    """
    found = found_in(data, column, words)
    examples, out = usable(found)
    name = found.usual if net is None else net
    made = no_net() if name is None else backbone(name, size)
    read = {one: read_problem(some, made, seed) for one, some in examples.items()}
    tasks = {one: divided_in(examples[one], seed, found.shared) for one in read}
    for one, task in tasks.items():
        _check(one, task.most, k)
        if len(read[one].digests) != len(examples[one].inputs):
            raise MetatlError(f"task {one!r}: {read[one].left_out[0]}; repair or remove it")
    pools = {one: task.pool for one, task in tasks.items()}
    labelled = None if made.moves else _joined([read[one].inputs.columns.take(pools[one]) for one in read])
    x = _numbers(read, pools, labelled)
    made_of = [Task(one, x[one], read[one].targets, tasks[one]) for one in read]
    told = () if labelled is None else without_part(labelled)
    said = dict.fromkeys(
        note for one in (read if labelled is None else examples).values() for note in one.notes
    )
    shared = ["All tasks have the same rows."] if found.shared else []
    return made_of, made, [*out, *said, *told, *shared]


def _check(name: str, most: int, k: int) -> None:
    if k > most:
        raise MetatlError(
            f"affinity: task {name!r} has {most} rows of a class to learn from, and --labelled asks for {k}; "
            "give fewer"
        )


def _numbers(
    read: Mapping[str, Problem], pools: Mapping[str, Any], labelled: Columns | None
) -> dict[str, Tensor]:
    if labelled is None:
        found = {one: p.features.of(np.arange(len(p.digests)), pools[one]) for one, p in read.items()}
    else:
        encoder = Encoder.fit(labelled)
        found = {one: encoder(p.inputs.columns) for one, p in read.items()}
    pooled = torch.cat([found[one][torch.from_numpy(pools[one])] for one in found])
    mean, spread = pooled.mean(0), pooled.std(0)
    spread = torch.where(spread > 1e-6, spread, torch.ones_like(spread))
    return {one: (x - mean) / spread for one, x in found.items()}


def _joined(parts: list[Columns]) -> Columns:
    """One table of several; raises MetatlError where their columns differ."""
    for part in parts[1:]:
        part.require(parts[0])
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return replace(parts[0], arrays=arrays, lines=None, signals=None)
