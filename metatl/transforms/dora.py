"""Low-rank additions to the direction of a weight, with its magnitude apart."""

from __future__ import annotations

from dataclasses import dataclass

from metatl.net import Net
from metatl.transforms.decomposed import decomposed
from metatl.transforms.low_rank import low_rank, scale_of
from metatl.transforms.low_rank_additions import LowRankAdditions
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
        targets: `all-linear` (every linear layer and 1x1 convolution, with any stride, but the output layer),
            or a regular expression that is found in the names of the layers meant.
        scaling: what alpha is divided by.
        seed: of A.
        dropout: share of x's entries that are left out of A x where the net's own dropout is on.
        kernels: whether all convolutions are meant, as matrices [out, in kh kw]: by `all-linear` all of them,
            by an expression those that it is found in.

    Calling it raises MetatlError where no layer is meant, and where one has an addition already.
    """

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with additions and the transfer with A, B and m; all else but the head is frozen."""
        layers, scale = self.layers(net), scale_of(self.alpha, self.r, self.scaling)
        added = [decomposed(net.module.get_submodule(name), name, scale, self.dropout) for name in layers]
        made = low_rank({n: transfer.params[f"{n}.weight"] for n in layers}, self.r, self.seed)
        for one in added:
            made[one.magnitude] = transfer.params[f"{one.layer}.weight"].flatten(1).norm(dim=1)
        return extended(net, transfer, added, made)
