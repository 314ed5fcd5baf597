"""A rule that goes along the scouts' directions first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from metatl.rules.preconditioner import along, between, longest, sides_of
from metatl.rules.rule import Rule, RuleState
from metatl.types import MetatlError, Params, check_rates

Form = Literal["low_rank", "kronecker"]
_DIRECTIONS, _LEFT, _RIGHT = "scouts.directions", "scouts.left", "scouts.right"


@dataclass(frozen=True)
class Preconditioned(Rule):
    """Another rule on P g in place of the gradient g, with P made of scouts' displacements d.

    low_rank: P = rho I + U S^2 U' / s_1^2 over all weights together, U S the carried principal directions.
    kronecker: G -> (rho I + L / |L|) G (rho I + R / |R|) for every weight G [out, in], with L = E[d d'] over
    rows and R = E[d' d] over columns of the carried directions and mean, |.| the largest eigenvalue; vectors
    have L alone, their diagonal. Weights without directions (a fresh output layer) keep their gradient. The
    form is that of Meta-Curvature (Park & Oliva 2019, arXiv 1902.03356), measured and not learned.

    Raises MetatlError where a task starts from what carries no directions (`Scout(directions=...)`).

    Args:
        rule: what P g is given to.
        rho: step along what scouts never went, where the first direction has 1 + rho.
        form: of P.
    """

    rule: Rule
    rho: float = 0.1
    form: Form = "low_rank"

    def __post_init__(self) -> None:
        """Refuse a negative rho."""
        check_rates(self, "rho")

    @property
    def differentiable(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the other rule is."""
        return self.rule.differentiable

    def init(self, params: Params) -> RuleState:
        """Nothing to start from: directions are carried."""
        raise MetatlError(
            "Preconditioned: the start carries no directions of displacements; let it be a run of the "
            "learner Scout with directions of 1 or more (and no adaptation that starts its rule anew)"
        )

    def resume(self, params: Params, carried: Params) -> RuleState:
        """The other rule's memory, and what P is made of."""
        found = {n: carried[key] for n in params if (key := f"directions.{n}") in carried}
        if not found:
            return self.init(params)
        state = self.rule.resume(params, carried)
        if self.form == "low_rank":
            first = longest(found)
            return {**state, _DIRECTIONS: {n: leaf.to(params[n]) / first for n, leaf in found.items()}}
        sides = {n: sides_of(torch.cat([d, carried[f"mean.{n}"][None]]), self.rho) for n, d in found.items()}
        left, right = ({n: pair[side].to(params[n]) for n, pair in sides.items()} for side in range(2))
        return {**state, _LEFT: left, _RIGHT: right}

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """The other rule's update of P g."""
        mine = {role: state[role] for role in (_DIRECTIONS, _LEFT, _RIGHT) if role in state}
        theirs = {role: held for role, held in state.items() if role not in mine}
        if self.form == "kronecker":
            ahead = between(grads, mine[_LEFT], mine[_RIGHT])
        else:
            ahead = along(grads, mine[_DIRECTIONS], self.rho)
        updates, theirs = self.rule.update({**grads, **ahead}, theirs, params)
        return updates, {**theirs, **mine}

    def carried(self, state: RuleState) -> Params:
        """What the other rule carries."""
        mine = (_DIRECTIONS, _LEFT, _RIGHT)
        return self.rule.carried({role: held for role, held in state.items() if role not in mine})
