"""Low-rank additions to linear layers and convolutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from metatl.net import Net
from metatl.transforms.low_rank import low_rank, scale_of
from metatl.transforms.low_rank_additions import LowRankAdditions
from metatl.transforms.low_rank_kernel import product
from metatl.transforms.targets import weight_of
from metatl.transforms.transform import extended
from metatl.types import Transfer


@dataclass(frozen=True)
class LoRA(LowRankAdditions):
    """W x + scale * B (A x): W stays, A and B move, B starts at 0.

    scale = alpha / r, or alpha / sqrt(r) (`rank_stabilised`: rsLoRA). A starts uniform in +-1 / sqrt(in), as
    peft has it. Biases, norms and all else stay as well, as weights with requires_grad=False do: under every
    guide and in every learner. The output layer moves as before. Merged it is W + scale * B A. Sources: Hu
    et al. 2021, arXiv 2106.09685; Kalajdzievski 2023, arXiv 2312.03732.

    Args:
        r: rank.
        alpha: numerator of the scale.
        targets: `all-linear` (every linear layer, quantised or not, and 1x1 convolution, with any stride,
            but the output layer), or a regular expression that is found in the names of the layers meant.
        scaling: what alpha is divided by.
        seed: of A.
        dropout: share of x's entries that are left out of A x where the net's own dropout is on, which is in
            ordinary training.
        kernels: whether all convolutions are meant, as matrices [out, in kh kw]: by `all-linear` all of them,
            by an expression those that it is found in.

    Calling it raises MetatlError where no layer is meant, and where one has an addition already.
    """

    codes: ClassVar[bool] = True

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with additions and the transfer with A and B; all else but the head is frozen."""
        layers, scale = self.layers(net), scale_of(self.alpha, self.r, self.scaling)
        added = [product(net.module.get_submodule(name), name, scale, self.dropout) for name in layers]
        made = low_rank({n: weight_of(net, transfer.params, n) for n in layers}, self.r, self.seed)
        return extended(net, transfer, added, made)
