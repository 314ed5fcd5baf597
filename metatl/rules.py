"""Rules: gradients to proposed updates, as pure functions that can be differentiated.

A rule never adds the update to the weights: the guide acts last, between the proposal and the addition.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch

from metatl import tree
from metatl.types import MetatlError, Params

RuleState = dict[str, Params]
"""What a rule remembers, by role and weight name; only tensors, so that a checkpoint holds it as it is."""


class Rule(ABC):
    """A way to turn gradients into proposed updates: theta <- theta + guide * update."""

    differentiable: bool = True
    """Whether the update has a derivative wherever the gradient is finite, as a full unroll needs."""

    @abstractmethod
    def init(self, params: Params) -> RuleState:
        """The memory before the first step."""

    def resume(self, params: Params, carried: Params) -> RuleState:
        """The memory before a task's first step, given what earlier tasks left; here it is not looked at."""
        return self.init(params)

    @abstractmethod
    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """The proposed updates (to be added) and the new memory."""

    def carried(self, state: RuleState) -> Params:
        """What of a memory goes on to other tasks, as `<role>.<weight>`: nothing, unless a rule says so."""
        return {}


def _with_decay(grads: Params, params: Params, weight_decay: float) -> Params:
    if weight_decay == 0.0:
        return grads
    return tree.map(lambda g, p: g + weight_decay * p, grads, params)


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
        """Refuse Nesterov's look ahead without a momentum, as torch does."""
        if self.nesterov and self.momentum <= 0:
            raise MetatlError("SGD: nesterov needs a momentum above 0, 0.9 say")

    def init(self, params: Params) -> RuleState:
        """Zeros for the momentum, nothing without it."""
        return {"velocity": tree.zeros(params)} if self.momentum else {}

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """-lr times the (momentum-averaged) gradient."""
        grads = _with_decay(grads, params, self.weight_decay)
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
        grads = _with_decay(grads, params, self.weight_decay)
        count = state["count"]["steps"] + 1
        rest1, rest2 = 1 - self.b1, 1 - self.b2
        first = tree.map(lambda m, g: torch.lerp(m, g, rest1), state["first"], grads)
        second = tree.map(lambda v, g: (v * self.b2).addcmul(g, g, value=rest2), state["second"], grads)
        rate = -self.lr / (1 - self.b1**count)
        unbiased = 1 - self.b2**count

        def step(m: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            v = v / unbiased + self.eps_root if self.eps_root else v / unbiased
            return rate * m / (v.sqrt() + self.eps)

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


@dataclass(frozen=True)
class CarriedAdam(Rule):
    """Adam without first moment, whose second moment goes on from task to task.

    update = -lr g / (sqrt(v^ + eps_root) + eps), v <- b2 v + (1 - b2) g^2, v^ = v / (1 - b2^n), with n the
    steps that a weight's v has seen in all tasks together: over one task after the other it is one
    torch.optim.Adam(betas=(0, b2)) that is never started anew, which is how Reptile was published.
    `Transfer.memory` holds v as `second.<weight>` and 1 - b2^n as `mass.<weight>` (0-d). Reptile learns them:
    the tasks of a step start from the same v, and the mean of what they end with goes on. A weight without
    one (a fresh output layer) starts from 0. Source: Nichol, Achiam & Schulman 2018, arXiv 1803.02999.

    Args:
        lr: rate.
        b2: decay of the second moment.
        eps: added outside the root.
        eps_root: added inside the root (see Adam).
    """

    lr: float = 1e-3
    b2: float = 0.999
    eps: float = 1e-8
    eps_root: float = 0.0

    @property
    def differentiable(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Not without eps_root (see Adam)."""
        return self.eps_root > 0

    def init(self, params: Params) -> RuleState:
        """A second moment of 0 that has seen nothing."""
        return {"second": tree.zeros(params), "mass": tree.map(lambda p: p.new_zeros(()), params)}

    def resume(self, params: Params, carried: Params) -> RuleState:
        """What the transfer carries, where it does; raises MetatlError where that is of another shape."""
        state = self.init(params)
        for role, leaves in state.items():
            for name, leaf in leaves.items():
                found = carried.get(f"{role}.{name}", leaf)
                if found.shape != leaf.shape:
                    raise MetatlError(
                        f"the carried {role} of weight '{name}' has shape {list(found.shape)} instead of "
                        f"{list(leaf.shape)}; take a rule that starts anew, Adam say"
                    )
                leaves[name] = found
        return state

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """The bias-corrected step."""
        rest = 1 - self.b2
        second = tree.map(lambda v, g: (v * self.b2).addcmul(g, g, value=rest), state["second"], grads)
        mass = tree.map(lambda seen: seen * self.b2 + rest, state["mass"])

        def step(g: torch.Tensor, v: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
            return -self.lr * g / ((v / seen + self.eps_root).sqrt() + self.eps)

        return tree.map(step, grads, second, mass), {"second": second, "mass": mass}

    def carried(self, state: RuleState) -> Params:
        """All of it."""
        return {f"{role}.{name}": leaf for role, leaves in state.items() for name, leaf in leaves.items()}
