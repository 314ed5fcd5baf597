"""Low-rank additions to the direction of a weight, with its magnitude apart."""

from __future__ import annotations

from dataclasses import dataclass

from metatl.net import Net
from metatl.transforms.decomposed import Decomposed
from metatl.transforms.low_rank import LowRankAdditions, low_rank, scale_of
from metatl.transforms.targets import linear, meant, nothing_meant
from metatl.transforms.transform import extended
from metatl.types import Transfer


@dataclass(frozen=True)
class DoRA(LowRankAdditions):
    """m / |V| * V x with V = W + scale * B A: W stays; A, B and m move; m starts at the norms of W's rows.

    As `LoRA` otherwise: A, B, scale, what stays. |V| is a constant of the gradient. Merged it is m / |V| * V.
    Source: Liu et al. 2024, arXiv 2402.09353, as peft has it.

    Args:
        r: rank.
        alpha: numerator of the scale.
        targets: `all-linear`, or a regular expression that is found in the names of the layers meant.
        scaling: what alpha is divided by.
        seed: of A.
        dropout: share of x's entries that are left out of A x where the net's own dropout is on.

    Calling it raises MetatlError where no layer is meant, and where one has an addition already.
    """

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with additions and the transfer with A, B and m; all else but the head is frozen."""
        layers = meant(net, linear, self.targets, "all-linear")
        if not layers:
            raise nothing_meant("DoRA", net, linear, self.targets)
        scale = scale_of(self.alpha, self.r, self.scaling)
        added = [Decomposed(name, scale, self.dropout) for name in layers]
        made = low_rank({n: transfer.params[f"{n}.weight"] for n in layers}, self.r, self.seed)
        for one in added:
            made[one.magnitude] = transfer.params[f"{one.layer}.weight"].flatten(1).norm(dim=1)
        return extended(net, transfer, added, made)
