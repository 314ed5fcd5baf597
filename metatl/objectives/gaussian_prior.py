"""The scouts' Gaussian as a prior of a task's weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from metatl import positive, tree
from metatl.objectives.term import Anchor, Term
from metatl.types import Batch, MetatlError, Params, check_rates

Form = Literal["diagonal", "low_rank"]


@dataclass(frozen=True)
class GaussianPrior(Term):
    """alpha / 2 * (w - w0 - m)' C^-1 (w - w0 - m) + beta / 2 * |w_new|^2: L2-SP with the scouts' Gaussian.

    m = E[d] and C are what `Scout(directions=...)` carries of displacements d: C is their variance by weight
    (`diagonal`), or U S^2 U' and what that leaves of it (`low_rank`, solved by Woodbury's identity), with
    `floor` of its mean added to its diagonal, over its mean: alpha is then on the scale of `L2SP`'s, whose
    penalty it is where all weights vary alike and m is 0. w_new is a fresh output layer; a weight that scouts
    did not displace is not held. The form of C is that of SWAG (Maddox et al. 2019, arXiv 1902.02476). Raises
    MetatlError where the start carries nothing of the kind.

    Args:
        alpha: pull of the carried weights towards w0 + m.
        beta: pull of a fresh output layer towards 0.
        form: of C.
        floor: share of the mean variance that every weight has at least.
        mean: whether the centre is w0 + m; w0 otherwise.
    """

    alpha: float = 0.1
    beta: float = 0.01
    form: Form = "diagonal"
    floor: float = 0.1
    mean: bool = True

    needs_anchor = True

    def __post_init__(self) -> None:
        """Refuse a pull that pushes, and a variance of nothing."""
        check_rates(self, "alpha", "beta")
        if not 0 < self.floor < float("inf"):
            raise MetatlError(f"GaussianPrior: floor is {self.floor}; give a share above 0")

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The penalty."""
        names = [n for n in params if n not in anchor.fresh and f"variance.{n}" in anchor.memory]
        if not names:
            raise MetatlError(
                "GaussianPrior: the start carries no variance of displacements; let it be a run of the "
                "learner Scout with directions of 1 or more, or take L2SP"
            )
        moved = tree.flat({n: params[n] - anchor.params[n] for n in names})
        if self.mean:
            moved = moved - _of(anchor, "mean", names)
        value = self.alpha / 2 * self._square(moved, anchor, names)
        for name in anchor.fresh:
            value = value + self.beta / 2 * params[name].square().sum()
        return value

    def _square(self, moved: Tensor, anchor: Anchor, names: list[str]) -> Tensor:
        """moved' C^-1 moved."""
        variance = _of(anchor, "variance", names)
        scale = variance.mean()
        if self.form == "diagonal":
            return (moved.square() * scale / (variance + self.floor * scale)).sum()
        rows = torch.cat([tree.lines(anchor.memory[f"directions.{n}"]) for n in names], 1)
        left = (variance - rows.square().sum(0)).clamp_min(0.0) + self.floor * scale
        thin = rows / left
        inside = torch.eye(len(rows)).to(rows) + thin @ rows.T
        along = thin @ moved
        return scale * ((moved.square() / left).sum() - along @ positive.solve(inside, along))


def _of(anchor: Anchor, role: str, names: list[str]) -> Tensor:
    return tree.flat({n: anchor.memory[f"{role}.{n}"] for n in names})
