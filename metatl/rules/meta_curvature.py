"""Meta-Curvature: learned factors that a gradient goes through."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.rules.factors import ahead
from metatl.rules.rule import Rule, RuleState
from metatl.types import Params

_FRONT = "prior.curvature."


@dataclass(frozen=True)
class MetaCurvature(Rule):
    """Another rule on M g in place of the gradient g, with M learned over tasks.

    G [out, in, k] -> G x_1 M_out x_2 M_in x_3 M_k for every weight, a product along each axis, with k = kh kw
    of a kernel; matrices have no M_k, vectors a factor an entry. The factors start as identities, hence as
    the other rule, and `Episodic` learns them: beside the initialisation as published, or alone
    (`learn: prior`). The form is that which `Preconditioned` (kronecker) measures. Weights that are new to
    every task have no factors. Source: Park & Oliva 2019, arXiv 1902.03356.

    Args:
        rule: what M g is given to.
    """

    rule: Rule

    @property
    def differentiable(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the other rule is."""
        return self.rule.differentiable

    def prior(self, params: Params) -> Params:
        """Identities, `curvature.<axis>.<weight>`; an axis is out, in or k, and `each` of a vector."""
        found = Params()
        for name, leaf in params.items():
            for axis, size in _axes(leaf).items():
                like = torch.ones(size) if axis == "each" else torch.eye(size)
                found[f"curvature.{axis}.{name}"] = like.to(leaf)
        return found

    def init(self, params: Params) -> RuleState:
        """The other rule's memory, and identities."""
        return self.resume(params, {})

    def resume(self, params: Params, carried: Params) -> RuleState:
        """The other rule's memory, and the factors that are carried; identities where there are none."""
        state = dict(self.rule.resume(params, carried))
        for axis in ("each", "out", "in", "k"):
            held = {n: carried[key] for n in params if (key := f"{_FRONT}{axis}.{n}") in carried}
            if held:
                state[_FRONT + axis] = held
        return state

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """The other rule's update of M g."""
        mine = {role: held for role, held in state.items() if role.startswith(_FRONT)}
        theirs = {role: held for role, held in state.items() if role not in mine}
        through = {
            n: ahead(g, {a: mine[_FRONT + a][n] for a in _axes(g) if n in mine.get(_FRONT + a, {})})
            for n, g in grads.items()
        }
        updates, theirs = self.rule.update(through, theirs, params)
        return updates, {**theirs, **mine}

    def carried(self, state: RuleState) -> Params:
        """What the other rule carries."""
        return self.rule.carried({n: held for n, held in state.items() if not n.startswith(_FRONT)})


def _axes(leaf: Tensor) -> dict[str, int]:
    """Sizes of the factors of a weight, by axis."""
    if leaf.dim() < 2:
        return {"each": leaf.numel()}
    last = leaf[0, 0].numel()
    return {"out": leaf.shape[0], "in": leaf.shape[1], **({"k": last} if last > 1 else {})}
