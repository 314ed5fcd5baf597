"""GradNorm."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metatl import tree
from metatl.aggregates.aggregate import Aggregate, combined, filled, gradients_of
from metatl.aggregates.weighing import check_shares
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class GradNorm(Aggregate):
    """1/k sum of w_i L_i, where w moves so that tasks which learn slowly have the longer gradients.

        G_i = w_i |grad L_i|,  r_i = (L_i / L_i at the start) / their mean,  target_i = (mean of G) r_i^alpha
        w_i <- w_i - rate d/dw_i sum of |G_i - target_i|, the target a constant;  then sum of w = k

    Raises MetatlError for a loss below 0 (a log density), which has no such ratio. Source: Chen et al. 2018,
    arXiv 1711.02257. k backward passes.

    Args:
        alpha: how much slow tasks gain; published are 1.5 and, for alike tasks, 0.12.
        rate: of the weights.
        layer: pattern of the shared weights whose gradients count (published: the last shared layer); all for
            an empty one.
    """

    alpha: float = 1.5
    rate: float = 0.025
    layer: str = ""

    def __post_init__(self) -> None:
        """Raise MetatlError for rates that mean nothing."""
        if not 0.0 <= self.alpha < math.inf or not 0.0 <= self.rate < math.inf:
            raise MetatlError(
                f"GradNorm: alpha is {self.alpha}, rate {self.rate}; give finite numbers, 0 or more"
            )

    def __call__(self, gradients: Params, losses: Tensor, state: Params) -> tuple[Params, Params]:
        """The weighted mean with the weights before they move."""
        weights, state = self._weigh(gradients, losses.double(), state)
        return combined(weights, gradients), state

    def over_losses(
        self, losses: Sequence[Tensor], variables: Params, state: Params, there: Tensor | None = None
    ) -> tuple[Params, Params]:
        """Heads get their losses' weights too: published is one sum of weighted losses.

        A loss that is not there keeps its weight, and starts where it first is.
        """
        each = gradients_of(losses, variables)
        stacked = {name: filled(each, name, leaf) for name, leaf in variables.items()}
        shared = {n: g for n, g in stacked.items() if sum(one[n] is not None for one in each) > 1}
        values = torch.stack([loss.detach() for loss in losses]).double()
        weights, state = self._weigh(shared or stacked, values, state, there)
        return combined(weights, stacked), state

    def _weigh(
        self, shared: Params, losses: Tensor, state: Params, there: Tensor | None = None
    ) -> tuple[Tensor, Params]:
        counted = [tree.lines(leaf) for name, leaf in shared.items() if re.search(self.layer, name)]
        if not counted:
            raise MetatlError(f"GradNorm: no shared weight is called like {self.layer!r}")
        norms = torch.stack([leaf.double().norm(dim=1) for leaf in counted]).norm(dim=0).to(losses)
        w = state.get("weights", torch.ones_like(losses))
        held = torch.ones_like(losses, dtype=torch.bool) if there is None else there.to(losses.device)
        first = state.get("first", torch.full_like(losses, torch.nan))
        first = torch.where(held & first.isnan(), losses, first)
        check_shares(self, losses)
        ratio = losses / first.clamp(min=torch.finfo(first.dtype).tiny)
        pace = (ratio / ratio[held].mean()) ** self.alpha
        gap = torch.where(held, w * norms - (w * norms)[held].mean() * pace, 0.0)
        moved = (w - self.rate * gap.sign() * norms).clamp(min=1e-3)
        return w / len(w), {"weights": moved * len(w) / moved.sum(), "first": first}
