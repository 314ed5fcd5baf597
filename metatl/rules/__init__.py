"""Rules: gradients to proposed updates, as pure functions that can be differentiated.

A rule never adds the update to the weights: the guide acts last, between the proposal and the addition.
SGD, Adam and AdamW stay in this file: run directories are found by a digest that names `metatl.rules.Adam`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl import tree
from metatl.rules.carried_adam import CarriedAdam
from metatl.rules.meta_curvature import MetaCurvature
from metatl.rules.preconditioned import Preconditioned
from metatl.rules.rule import Rule, RuleState, unwatched, with_decay
from metatl.rules.schedule import CosineDecay, InverseDecay, LinearDecay, Schedule, SlantedTriangular, WarmUp
from metatl.types import MetatlError, Params

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "CarriedAdam",
    "CosineDecay",
    "InverseDecay",
    "LinearDecay",
    "MetaCurvature",
    "Preconditioned",
    "Rule",
    "RuleState",
    "Schedule",
    "SlantedTriangular",
    "WarmUp",
]


@dataclass(frozen=True)
class SGD(Rule):
    """Stochastic gradient descent as in torch.optim.SGD: v <- momentum v + g; update = -lr v.

    Args:
        lr: rate.
        momentum: share of the last step's direction that is kept.
        nesterov: look one momentum step ahead: update = -lr (g + momentum v).
        weight_decay: added to the gradient as weight_decay * theta.
    """

    lr: float = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        """Refuse negative rates, and Nesterov's look ahead without a momentum, as torch does."""
        super().__post_init__()
        if self.nesterov and self.momentum <= 0:
            raise MetatlError("SGD: nesterov needs a momentum above 0, 0.9 say")

    def init(self, params: Params) -> RuleState:
        """Zeros for the momentum, nothing without it."""
        return {"velocity": tree.zeros(params)} if self.momentum else {}

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """-lr times the (momentum-averaged) gradient."""
        grads = with_decay(grads, params, self.weight_decay)
        if not self.momentum:
            return tree.scale(grads, -self.lr), state
        velocity = tree.map(lambda v, g: self.momentum * v + g, state["velocity"], grads)
        ahead = tree.map(lambda g, v: g + self.momentum * v, grads, velocity) if self.nesterov else velocity
        return tree.scale(ahead, -self.lr), {"velocity": velocity}


@dataclass(frozen=True)
class Adam(Rule):
    """Adam as in torch.optim.Adam: update = -lr m^ / (sqrt(v^ + eps_root) + eps).

    Source: Kingma & Ba 2015, arXiv 1412.6980.

    Args:
        lr: rate.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added outside the root.
        eps_root: added inside the root: without it the derivative of the update is NaN where a gradient is 0.
        weight_decay: added to the gradient as weight_decay * theta.
    """

    lr: float = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    eps_root: float = 0.0
    weight_decay: float = 0.0

    @property
    def differentiable(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Not without eps_root: d/dg g / sqrt(g^2) is NaN where a gradient is 0."""
        return self.eps_root > 0

    def init(self, params: Params) -> RuleState:
        """Zero moments and a zero step count."""
        like = next(iter(params.values()))
        count = torch.zeros((), dtype=like.dtype, device=like.device)
        return {"first": tree.zeros(params), "second": tree.zeros(params), "count": {"steps": count}}

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """The bias-corrected step."""
        grads = with_decay(grads, params, self.weight_decay)
        count = state["count"]["steps"] + 1
        rest1, rest2 = 1 - self.b1, 1 - self.b2
        first = tree.map(lambda m, g: torch.lerp(m, g, rest1), state["first"], grads)
        over = unwatched(grads, *state.values())  # the same numbers, without new memory for each of them

        def decayed(v: Tensor, g: Tensor) -> Tensor:
            v = v * self.b2
            return torch.addcmul(v, g, g, value=rest2, out=v if over else None)

        second = tree.map(decayed, state["second"], grads)
        rate = -self.lr / (1 - self.b1**count)
        unbiased = 1 - self.b2**count

        def step(m: Tensor, v: Tensor) -> Tensor:
            v = v / unbiased + self.eps_root if self.eps_root else v / unbiased
            update, out = rate * m, v if over else None
            return torch.div(
                update,
                torch.add(torch.sqrt(v, out=out), self.eps, out=out),
                out=update if over else None,
            )

        return tree.map(step, first, second), {"first": first, "second": second, "count": {"steps": count}}


@dataclass(frozen=True)
class AdamW(Rule):
    """Adam with decoupled decay: update = Adam's - lr weight_decay theta.

    Source: Loshchilov & Hutter 2019, arXiv 1711.05101.

    Args:
        lr: rate.
        b1: decay of the first moment.
        b2: decay of the second moment.
        eps: added outside the root.
        eps_root: added inside the root (see Adam).
        weight_decay: share of the weight that lr takes away each step; a guide scales it too.
    """

    lr: float = 1e-3
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    eps_root: float = 0.0
    weight_decay: float = 1e-2

    @property
    def differentiable(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Not without eps_root (see Adam)."""
        return self.eps_root > 0

    def _adam(self) -> Adam:
        return Adam(self.lr, self.b1, self.b2, self.eps, self.eps_root)

    def init(self, params: Params) -> RuleState:
        """Adam's memory."""
        return self._adam().init(params)

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """Adam's step and the decay, in one proposed update."""
        updates, state = self._adam().update(grads, state, params)
        decay = self.lr * self.weight_decay
        return tree.map(lambda u, p: u - decay * p, updates, params), state
