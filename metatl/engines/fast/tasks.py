"""What the task-batched functions share: one task axis in front of every tensor, and no third derivative.

Every tensor of such a function is [task, ...], where `task` is the number of tasks, or 1 for what they share.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from metatl.types import MetatlError

Maybe = Tensor | None


def refuse(*_: Any) -> Any:
    """The backward pass of a second derivative: the hand-written formulas end here."""
    raise MetatlError(
        "a third derivative was asked for: the batched engine's convolutions and norms have two; "
        "use `engine: loop` for higher orders"
    )


def keep_nothing(*_: Any) -> None:
    """The context of a function without a backward pass."""


def over_tasks(
    function: type[torch.autograd.Function],
    size: int,
    axes: Sequence[int | None],
    spec: Any,
    tensors: Sequence[Maybe],
) -> tuple[tuple[Tensor, ...], tuple[int | None, ...]]:
    """A vmap rule: vmap's axis and the task axis become one task axis; unbatched inputs stay shared.

    function.apply(spec, *tensors) takes and gives tensors [task, ...]; `spec` must not ask for sums.
    """
    axes = axes[1:]
    counts = [t.shape[1 if d == 0 else 0] for t, d in zip(tensors, axes, strict=True) if t is not None]
    tasks = max(counts)
    folded: list[Maybe] = []
    for t, d in zip(tensors, axes, strict=True):
        if t is None:
            folded.append(None)
        elif tasks == 1:
            folded.append(t if d is None else t.movedim(d, 0).squeeze(1))
        else:
            t = t.unsqueeze(0) if d is None else t.movedim(d, 0)
            folded.append(t.expand(size, tasks, *t.shape[2:]).reshape(size * tasks, *t.shape[2:]))
    outputs: tuple[Tensor, ...] = function.apply(spec, *folded)
    if tasks == 1:
        batched = [out.shape[0] == size for out in outputs]
        return (
            tuple(out.unsqueeze(1) if b else out for out, b in zip(outputs, batched, strict=True)),
            tuple(0 if b else None for b in batched),
        )
    outputs = tuple(out.expand(size * tasks, *out.shape[1:]) for out in outputs)
    return tuple(out.reshape(size, tasks, *out.shape[1:]) for out in outputs), (0,) * len(outputs)
