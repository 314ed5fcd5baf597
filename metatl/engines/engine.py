"""What an engine is: a way to run many tasks."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from metatl import tree
from metatl.fields import Checked
from metatl.loss import Loss
from metatl.net import Net
from metatl.types import MetatlError, Metrics, Params, Ragged

TaskFunction = Callable[[Any], Any]
"""One task (nested tensors) -> nested tuples and dicts of tensors."""


class Each(NamedTuple):
    """Every task's own gradient [tasks, ...] by variable, its loss [tasks] and metrics [tasks]."""

    gradients: Params
    losses: Tensor
    metrics: Metrics


class Engine(Checked, ABC):
    """A way to run the tasks of a meta-batch; all engines give the same gradients.

    It knows tasks (nested tensors with a leading task axis), variables and a loss of both (`Loss`), and
    nothing of what the loss does.
    """

    capturable: ClassVar[bool] = False
    """Whether it waits for nothing on a device, so that a whole step can be captured as one CUDA graph."""

    def ready(self, net: Net) -> Net:
        """The net as this engine runs it fastest, the same function of the same weights; for use in `map`."""
        return net

    @abstractmethod
    def map(self, fn: TaskFunction, tasks: Any) -> Any:
        """fn of every task, results stacked along a leading task axis."""

    @abstractmethod
    def grad(self, loss: Loss, variables: Params, tasks: Any, calls: int = 1) -> tuple[Params, Metrics]:
        """d (mean over tasks of the loss) / d variables, and mean metrics.

        calls: how often a run will ask for such a gradient, for engines that can prepare.
        """

    @abstractmethod
    def grads(self, loss: Loss, variables: Params, tasks: Any) -> Each:
        """d (a task's loss) / d variables for every task, not averaged; as much memory as tasks."""


@contextmanager
def derivatives() -> Generator[None]:
    """Around a gradient: an operation that torch cannot differentiate (often: twice) is one clear line."""
    try:
        yield
    except RuntimeError as error:
        found = re.search(r"derivative for '?([\w:]+)'? is not implemented", str(error))
        if found is None:
            raise
        raise MetatlError(
            f"torch has no derivative of {found[1]}, which an outer gradient through this net needs; "
            "use `unroll: first_order`, or another layer"
        ) from error


def as_leaves(variables: Params) -> Params:
    """The variables as leaves that require gradients."""
    return {name: leaf.detach().requires_grad_() for name, leaf in variables.items()}


def gradient_of(loss: Tensor, variables: list[Tensor]) -> list[Tensor]:
    """d loss (0-d) / d variables, zero for a variable that the loss does not touch."""
    if not loss.requires_grad:
        return [torch.zeros_like(v) for v in variables]
    found = torch.autograd.grad(loss, variables, allow_unused=True)
    grads = cast("tuple[Tensor | None, ...]", found)
    return [torch.zeros_like(v) if g is None else g for g, v in zip(grads, variables, strict=True)]


def tasks_of(tasks: Any) -> int:
    """Number of tasks in a meta-batch."""
    return tasks.count if isinstance(tasks, Ragged) else tree.first(tasks).shape[0]


def task(tasks: Any, index: int | slice) -> Any:
    """One task of a meta-batch, or a slice of tasks of a stacked one."""
    if isinstance(tasks, Ragged) and isinstance(index, int):
        held = zip(tasks.parts, tasks.places, strict=True)
        return next(tree.at(part, where.index(index)) for part, where in held if index in where)
    return tree.at(tasks, index)
