"""Penalties on the weights themselves."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl import tree
from metatl.objectives.term import Anchor, Term
from metatl.types import Batch, Params, check_rates


def _half_square(params: Params, like: Tensor) -> Tensor:
    if not params:
        return like.sum() * 0.0
    return 0.5 * sum((leaf.square().sum() for leaf in params.values()), start=like.new_zeros(()))


@dataclass(frozen=True)
class L2(Term):
    """weight / 2 * |theta|^2, towards 0.

    Args:
        weight: factor.
    """

    weight: float = 1e-4

    def __post_init__(self) -> None:
        """Refuse a pull that pushes."""
        check_rates(self, "weight")

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The penalty."""
        return self.weight * _half_square(params, output)


@dataclass(frozen=True)
class L2SP(Term):
    """alpha / 2 * |w - w0|^2 + beta / 2 * |w_new|^2: carried weights stay near their start, new ones near 0.

    New is a fresh output layer; one that the transfer carries stays near its start like the rest.

    Source: Li, Grandvalet & Davoine 2018, arXiv 1802.01483. Use it without weight decay in the rule.

    Args:
        alpha: pull of the carried weights towards their start.
        beta: pull of a fresh output layer towards 0.
    """

    alpha: float = 0.1
    beta: float = 0.01

    needs_anchor = True

    def __post_init__(self) -> None:
        """Refuse a pull that pushes."""
        check_rates(self, "alpha", "beta")

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The penalty."""
        new, shared = tree.split(params, lambda name: name in anchor.fresh)
        moved = {name: leaf - anchor.params[name] for name, leaf in shared.items()}
        return self.alpha * _half_square(moved, output) + self.beta * _half_square(new, output)
