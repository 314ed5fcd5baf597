"""Discriminative learning rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

from metatl.guides.guide import Depth, TransferGuide, by_depth, check_parts, filled
from metatl.net import Net
from metatl.types import Guide, MetatlError, Transfer


@dataclass(frozen=True)
class DepthDecay(TransferGuide):
    """Every group moves `factor` times less than the next one used: guide = factor^-(groups above).

    By layer with factor 2.6 it is ULMFiT's (Howard & Ruder 2018, arXiv 1801.06146); by block with factor
    1/d, d from 0.65 to 1, the layer-wise decay d^(L + 1 - i) of BEiT (Bao et al. 2022, arXiv 2106.08254) and
    MAE for embeddings (i = 0), blocks 1 .. L and the output layer (i = L + 1). What follows the last block
    without a weight of two axes (a final norm) moves with that block, as timm has it; BEiT counts it with the
    output layer. By block in two or three parts with factor 3 to 10 it is the rule of thumb for
    convolutional nets.

    Args:
        factor: ratio of the rates of neighbouring groups.
        by: what is counted, layers or blocks.
        parts: groups of neighbours that the body's layers or blocks are joined to; each alone for None.
    """

    factor: float = 2.6
    by: Depth = "layer"
    parts: int | None = None

    def __post_init__(self) -> None:
        """Refuse a negative factor, and what cannot be counted."""
        super().__post_init__()
        if not 0 < self.factor < math.inf:
            raise MetatlError(f"DepthDecay: factor is {self.factor}; give a finite number above 0")
        check_parts(self, self.parts)

    def __call__(self, net: Net, transfer: Transfer) -> Guide:
        """One 0-d entry a weight; the output layer's is 1."""
        groups = by_depth(net, transfer.params, self.by, self.parts)
        top = len(groups) - 1
        values = {name: self.factor ** -(top - i) for i, group in enumerate(groups) for name in group}
        return filled(transfer.params, values)
