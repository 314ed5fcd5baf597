"""What an aggregate is: the gradients of several losses, made into one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor

from metatl import tree
from metatl.engines.engine import Engine
from metatl.fields import Checked
from metatl.loss import Loss
from metatl.types import Metrics, Params


class Aggregate(Checked, ABC):
    """(gradients [k, ...], losses [k], state) -> gradient, state; of k losses with shared variables.

    The losses may be those of the tasks of a meta-batch, or of the targets of a mini-batch. state: tensors
    that it goes on from in the next step, checkpointed with the learner's; a fresh dict comes back, never the
    one that was given. Gradients that are alike give themselves (`Mean`), not k times that, unless it is
    said.
    """

    capturable: ClassVar[bool] = False
    """Whether it reads no values, so that a whole step can be captured as one CUDA graph."""
    halts: ClassVar[bool] = False
    """Whether a loss that can fall no further halts all: one that no row of a step has is then left out."""

    def init(self, key: int) -> Params:
        """The state before the first step; key: of whatever it draws at random."""
        return {}

    @abstractmethod
    def __call__(self, gradients: Params, losses: Tensor, state: Params) -> tuple[Params, Params]:
        """One gradient by variable, and the new state."""

    def over_tasks(
        self, engine: Engine, loss: Loss, variables: Params, tasks: Any, state: Params, calls: int = 1
    ) -> tuple[Params, Metrics, Params]:
        """The aggregate of the tasks' gradients, their mean metrics, and the new state."""
        each = engine.grads(loss, variables, tasks)
        gradient, state = self(each.gradients, each.losses, state)
        return gradient, tree.mean(each.metrics), state

    def over_losses(
        self, losses: Sequence[Tensor], variables: Params, state: Params, there: Tensor | None = None
    ) -> tuple[Params, Params]:
        """One gradient by variable of k losses [0-d] of one pass, and the new state.

        there: [k] bool, which losses are of any row; the others are 0 and say nothing, and what an aggregate
        remembers of them stays as it was.

        Variables that several losses reach (a trunk) get the aggregate of their gradients; one that a single
        loss reaches (a head) gets that loss's own gradient. One loss alone shares nothing: its gradient is
        that of ordinary training. k backward passes.
        """
        if self.halts and there is not None:
            losses = [loss for loss, held in zip(losses, there.tolist(), strict=True) if held]
        each = gradients_of(losses, variables)
        reached = {name: sum(one[name] is not None for one in each) for name in variables}
        shared = [name for name, count in reached.items() if count > 1]
        found = {name: next((one[name] for one in each if one[name] is not None), None) for name in variables}
        gradient = {n: torch.zeros_like(v) if (g := found[n]) is None else g for n, v in variables.items()}
        if shared:
            stacked = {name: filled(each, name, variables[name]) for name in shared}
            aggregated, state = self(stacked, torch.stack([loss.detach() for loss in losses]), state)
            gradient |= aggregated
        return gradient, state


def gradients_of(losses: Sequence[Tensor], variables: Params) -> list[dict[str, Tensor | None]]:
    """Each 0-d loss's gradient by variable; None where it does not reach one."""
    found: list[dict[str, Tensor | None]] = []
    for place, loss in enumerate(losses):
        if not loss.requires_grad:
            found.append(dict.fromkeys(variables))
            continue
        again = place < len(losses) - 1
        grads = torch.autograd.grad(loss, list(variables.values()), retain_graph=again, allow_unused=True)
        found.append(dict(zip(variables, cast("tuple[Tensor | None, ...]", grads), strict=True)))
    return found


def filled(each: Sequence[dict[str, Tensor | None]], name: str, like: Tensor) -> Tensor:
    """[k, ...]: every loss's gradient of a variable, 0 where it does not reach it."""
    return torch.stack([torch.zeros_like(like) if (g := one[name]) is None else g for one in each])


def combined(weights: Tensor, gradients: Params) -> Params:
    """sum of w_i g_i by variable; weights [k]."""
    return {
        name: torch.tensordot(weights.to(leaf.device, leaf.dtype), leaf, dims=1)
        for name, leaf in gradients.items()
    }
