"""Elastic weight consolidation."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl import tree
from metatl.objectives.term import Anchor, Term
from metatl.types import Batch, MetatlError, Params, check_rates


@dataclass(frozen=True)
class EWC(Term):
    """alpha / 2 * sum_j F_j (w_j - w0_j)^2 + beta / 2 * |w_new|^2: what mattered on the source stays nearest.

    F is the Fisher information on the source, over its mean, as the learner `Importance` carries it: alpha is
    the published factor times that mean. With beta 0 it is EWC (Kirkpatrick et al. 2017, arXiv 1612.00796),
    else L2-SP-Fisher (Li, Grandvalet & Davoine 2018, arXiv 1802.01483), whose w_new is a fresh output layer.
    A carried output layer, of which the learner says nothing, is not held. Raises MetatlError where nothing
    of the kind is carried.

    Args:
        alpha: pull of the carried weights towards their start.
        beta: pull of a fresh output layer towards 0.
    """

    alpha: float = 0.1
    beta: float = 0.0

    needs_anchor = True

    def __post_init__(self) -> None:
        """Refuse a pull that pushes."""
        check_rates(self, "alpha", "beta")

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The penalty."""
        new, carried = tree.split(params, lambda name: name in anchor.fresh)
        if carried and not anchor.importance:
            raise MetatlError(
                "EWC needs to know how much each weight matters on the source, and the start carries nothing "
                "of the kind; learn it with the learner Importance, or take L2SP"
            )
        held = {name: f for name, f in anchor.importance.items() if name in carried}
        value = output.new_zeros(())
        for name, f in held.items():
            value = value + self.alpha / 2 * (f * (carried[name] - anchor.params[name]).square()).sum()
        for leaf in new.values():
            value = value + self.beta / 2 * leaf.square().sum()
        return value
