"""One target of several: which rows have it, and a linear head of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from metatl.data.targets import MISSING
from metatl.net import Pass
from metatl.objectives.term import Seen
from metatl.types import Batch, MetatlError, Params


def target_of(y: Any, target: str) -> Tensor:
    """Its values by name; raises MetatlError where rows have no such target."""
    if not isinstance(y, Mapping) or target not in y:
        known = ", ".join(map(str, y)) if isinstance(y, Mapping) else "one without a name"
        raise MetatlError(f"rows have no target '{target}'; they have {known}")
    return y[target]


def present(y: Tensor) -> tuple[Tensor, Tensor]:
    """Targets with 0 where they are missing, and whether rows have them: 1 or 0 [n]."""
    if y.is_floating_point():
        there = ~y.isnan().flatten(1).any(1) if y.dim() > 1 else ~y.isnan()
        return y.nan_to_num(nan=0.0), there.to(y.dtype)
    if y.dtype == torch.bool:
        return y, torch.ones(y.shape[0], device=y.device)
    return y.clamp(min=0), (y > MISSING).float()


def having(batch: Batch, target: str) -> tuple[Batch, Tensor]:
    """The rows with one target, of weight 0 where it is missing, and whether any counts (0-d bool).

    Where none does, all have weight 1, so that a mean over them is finite.
    """
    y, there = present(target_of(batch.y, target))
    rows = there if batch.weight is None else there * batch.weight
    some = (rows > 0).any()
    return Batch(batch.x, y, torch.where(some, rows, torch.ones_like(rows))), some


def of_rows(seen: Seen, output: Tensor, y: Tensor) -> Seen:
    """What is seen of the rows that have the target, as the source's: output [n, ...], y [n] or [n, d]."""
    y, there = present(y)
    held, none = there > 0, torch.empty(0)
    passes, batches = {"source": Pass(output[held], none)}, {"source": Batch(none, y[held])}
    return replace(seen, passes=passes, batches=batches)


def drawn_layer(outputs: int, wide: int, like: Tensor, key: int) -> Params:
    """weight [outputs, wide], uniform in +-1 / sqrt(wide), and bias [outputs], 0, of the type of `like`."""
    drawn = torch.rand(outputs, wide, generator=torch.Generator().manual_seed(key)) * 2 - 1
    return {"weight": (drawn / math.sqrt(wide)).to(like), "bias": like.new_zeros(outputs)}


def check_outputs(y: Any, target: str, outputs: int) -> None:
    """Raise MetatlError for a class label that has no output; y by name, looked at on the CPU alone."""
    y = y.get(target) if isinstance(y, Mapping) else None
    if not isinstance(y, Tensor) or y.dtype != torch.int64 or y.device.type != "cpu" or not len(y):
        return
    if int(y.max()) >= outputs:
        raise MetatlError(
            f"target '{target}' has the class {int(y.max())}, counted from 0, and its head has {outputs} "
            "outputs; give it one for each class"
        )
