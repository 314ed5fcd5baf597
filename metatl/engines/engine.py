"""What an engine is: a way to run the tasks of a meta-batch."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from metatl import tree
from metatl.adapt import Descent, query_loss
from metatl.net import Net
from metatl.types import Episode, Guide, MetatlError, Metrics, Params, Transfer, Unroll

_MOVES = WeakTensorKeyDictionary()
"""Of guide entries: their version and whether they move anything."""

TaskFunction = Callable[[Episode], Any]
"""One task's episode -> nested tuples and dicts of tensors."""


class OuterGradient(NamedTuple):
    """The gradient of a meta-batch's mean outer loss: for the weights, and for the guide where learned."""

    params: Params
    guide: Guide


@dataclass(frozen=True)
class Outer:
    """What an outer gradient is taken of, and with respect to what.

    unroll: how the inner loop is differentiated; learn_guide: whether the guide is a variable too;
    step_weights: [steps + 1] weights of the query losses along the trajectory, or None for the last one
    alone; calls: how often a run will ask for such a gradient, for engines that can prepare.
    """

    unroll: Unroll = "full"
    learn_guide: bool = False
    step_weights: Tensor | None = None
    calls: int = 1


class Engine(ABC):
    """A way to run the tasks of a meta-batch; all engines give the same outer gradient."""

    capturable: ClassVar[bool] = False
    """Whether it waits for nothing on a device, so that a whole step can be captured as one CUDA graph."""

    def ready(self, net: Net) -> Net:
        """The net as this engine runs it fastest, the same function of the same weights; for use in `map`."""
        return net

    @abstractmethod
    def map(self, fn: TaskFunction, episodes: Episode) -> Any:
        """fn of every task, results stacked along a leading task axis."""

    @abstractmethod
    def outer_gradient(
        self, net: Net, transfer: Transfer, adaptation: Descent, episodes: Episode, outer: Outer
    ) -> tuple[OuterGradient, Metrics]:
        """Gradient of the mean over tasks of the query loss after adaptation, and mean metrics."""


def moving_names(transfer: Transfer, learn_guide: bool) -> frozenset[str] | None:
    """Names whose guide is not zero throughout; None when the guide itself is a variable."""
    if learn_guide:
        return None
    return frozenset(name for name, entry in transfer.guide.items() if _moves(entry))


def _moves(entry: Tensor) -> bool:
    """Whether any number is not 0, looked up once for each tensor: asking makes the host wait for a GPU."""
    known: tuple[int, bool] | None = _MOVES.get(entry)
    if known is None or known[0] != entry._version:
        known = entry._version, bool((entry != 0).any())
        _MOVES[entry] = known
    return known[1]


def check_guide(transfer: Transfer) -> None:
    """Raise MetatlError naming a weight without a guide, or with one that does not broadcast to it."""
    for name, leaf in transfer.params.items():
        if name not in transfer.guide:
            raise MetatlError(f"the guide has no entry for weight '{name}'; every weight must be covered")
        entry = transfer.guide[name].shape
        own = entry[1:] if len(entry) == leaf.dim() + 1 else entry
        fits = len(own) <= leaf.dim() and all(
            a in (1, b) for a, b in zip(reversed(own), reversed(leaf.shape), strict=False)
        )
        if not fits or 0 in entry:
            raise MetatlError(
                f"the guide of weight '{name}' has shape {list(entry)}, which does not broadcast to "
                f"{list(leaf.shape)}; a leading inner-step axis may stand in front"
            )


def as_variables(transfer: Transfer, learn_guide: bool) -> tuple[Transfer, list[Tensor]]:
    """A copy of the transfer whose variables require gradients, and those variables in order."""
    params = {name: p.detach().requires_grad_() for name, p in transfer.params.items()}
    guide = transfer.guide
    if learn_guide:
        guide = {name: g.detach().requires_grad_() for name, g in guide.items()}
    variables = [*params.values(), *(guide.values() if learn_guide else ())]
    return replace(transfer, params=params, guide=guide), variables


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


def gradient_of(loss: Tensor, variables: list[Tensor]) -> list[Tensor]:
    """d loss / d variables, zero for a variable that the loss does not touch."""
    if not loss.requires_grad:
        return [torch.zeros_like(v) for v in variables]
    found = torch.autograd.grad(loss, variables, allow_unused=True)
    grads = cast("tuple[Tensor | None, ...]", found)
    return [torch.zeros_like(v) if g is None else g for g, v in zip(grads, variables, strict=True)]


def named_gradient(grads: list[Tensor], transfer: Transfer, learn_guide: bool) -> OuterGradient:
    """The flat list of `as_variables` order, with names again."""
    params = dict(zip(transfer.params, grads, strict=False))
    guide = dict(zip(transfer.guide, grads[len(params) :], strict=True)) if learn_guide else {}
    return OuterGradient(params, guide)


def task_loss(
    net: Net, adaptation: Descent, transfer: Transfer, outer: Outer, moving: frozenset[str] | None
) -> TaskFunction:
    """The outer loss and metrics of one task as a function of its episode; moving: see `moving_names`."""

    def fn(episode: Episode) -> tuple[Tensor, Metrics]:
        return query_loss(net, adaptation, transfer, episode, outer.unroll, moving, outer.step_weights)

    return fn


def tasks_of(episodes: Episode) -> int:
    """Number of tasks in a stacked meta-batch."""
    return tree.rows(episodes.support.x)


def task(episodes: Episode, index: int | slice) -> Episode:
    """One task, or a slice of tasks, of a stacked meta-batch."""
    return tree.at(episodes, index)
