"""Adam whose second moment goes on from task to task."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metatl import tree
from metatl.rules.rule import Rule, RuleState
from metatl.types import MetatlError, Params


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
