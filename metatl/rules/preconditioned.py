"""A rule that goes along the scouts' directions first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metatl import tree
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
            longest = sum(tree.lines(leaf).square().sum(1) for leaf in found.values())
            assert isinstance(longest, Tensor)
            first = longest.max().clamp_min(1e-30).sqrt()
            return {**state, _DIRECTIONS: {n: leaf.to(params[n]) / first for n, leaf in found.items()}}
        sides = {n: self._sides(torch.cat([d, carried[f"mean.{n}"][None]])) for n, d in found.items()}
        left, right = ({n: pair[side].to(params[n]) for n, pair in sides.items()} for side in range(2))
        return {**state, _LEFT: left, _RIGHT: right}

    def _sides(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """rho I + L / |L| and rho I + R / |R| of displacements [n, out, ...]."""
        if rows.dim() < 3:
            power = tree.lines(rows).square().sum(0)
            return torch.diag(self.rho + power / power.max().clamp_min(1e-30)), torch.ones(1, 1).to(rows)
        rows = rows.flatten(2)
        return self._side(rows.transpose(0, 1).flatten(1)), self._side(rows.permute(2, 0, 1).flatten(1))

    def _side(self, rows: Tensor) -> Tensor:
        product = rows @ rows.T
        largest = torch.linalg.eigvalsh(product)[-1].clamp_min(1e-30)
        return self.rho * torch.eye(len(rows)).to(rows) + product / largest

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        """The other rule's update of P g."""
        mine = {role: state[role] for role in (_DIRECTIONS, _LEFT, _RIGHT) if role in state}
        theirs = {role: held for role, held in state.items() if role not in mine}
        updates, theirs = self.rule.update({**grads, **self._ahead(grads, mine)}, theirs, params)
        return updates, {**theirs, **mine}

    def carried(self, state: RuleState) -> Params:
        """What the other rule carries."""
        mine = (_DIRECTIONS, _LEFT, _RIGHT)
        return self.rule.carried({role: held for role, held in state.items() if role not in mine})

    def _ahead(self, grads: Params, mine: RuleState) -> Params:
        """P g of the weights that have directions."""
        if self.form == "kronecker":
            sides = zip(mine[_LEFT].items(), mine[_RIGHT].values(), strict=True)
            return {
                n: (left @ grads[n].reshape(len(left), -1) @ right).view(grads[n].shape)
                for (n, left), right in sides
            }
        held = mine[_DIRECTIONS]
        along = torch.stack([tree.lines(rows) @ grads[n].reshape(-1) for n, rows in held.items()]).sum(0)
        return {
            n: self.rho * grads[n] + (along @ tree.lines(rows)).view(grads[n].shape)
            for n, rows in held.items()
        }
