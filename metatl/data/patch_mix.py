"""PatchMix of two domains: every patch at a share of its own."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor

from metatl.data.bridge import Bridge
from metatl.data.counter import number
from metatl.types import MetatlError


@dataclass(frozen=True)
class PatchMix(Bridge):
    """x_k = l_k x_S,k + (1 - l_k) x_T,k for every patch k, 1 - l_k ~ Beta(a, b) for each row and patch.

    Of a picture [channels, h, w] patches are squares, of columns [d] neighbouring ones. A row's share is the
    mean of l_k over patches, every patch counting alike, where attention weighs them as published. Where a
    net makes tokens of its patches by one linear layer, as vision transformers do, the tokens are mixed by
    the same shares: E(l x + (1 - l) x') = l E(x) + (1 - l) E(x'). a and b are fixed here; published they are
    learned. Source: Zhu et al. 2023 (PMTrans), CVPR.

    Args:
        size: rows a step.
        patch: side of a square in pixels, that of the net's patches; of columns how many.
        a: of the Beta distribution of the target's share; the default is the published start, softplus(1).
        b: of the same.
    """

    patch: int = 16
    a: float = 1.3133
    b: float = 1.3133

    def __post_init__(self) -> None:
        """Refuse patches of nothing, and a Beta distribution that is none."""
        if self.patch < 1 or not (0 < self.a < float("inf") and 0 < self.b < float("inf")):
            raise MetatlError(
                f"PatchMix: patch is {self.patch}, a {self.a} and b {self.b}; give 1 or more, and a and b "
                "above 0"
            )

    def mixed(self, key: int, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of patches of both; raises MetatlError for rows without whole patches."""
        sides = source.shape[2:] if source.dim() == 4 else source.shape[1:]
        if source.dim() not in (2, 4) or any(side % self.patch for side in sides):
            raise MetatlError(
                f"PatchMix: rows {list(source.shape[1:])} have no whole patches of {self.patch}; give "
                "pictures [channels, h, w] or columns [d], and a patch that divides their sides"
            )
        count = torch.Size(side // self.patch for side in sides)
        drawn = [
            1.0 - draw.betavariate(self.a, self.b)
            for draw in (Random(number(key, i)) for i in range(len(source)))
            for _ in range(count.numel())
        ]
        share = torch.tensor(drawn, dtype=source.dtype, device=source.device).view(len(source), *count)
        return by_patches(share, source, target, self.patch), share.flatten(1).mean(1)


def by_patches(share: Tensor, source: Tensor, target: Tensor, patch: int) -> Tensor:
    """Shares [n, h / patch, w / patch] of pictures [n, channels, h, w], [n, d / patch] of columns [n, d]."""
    for axis in range(1, share.dim()):
        share = share.repeat_interleave(patch, axis)
    share = share[:, None] if source.dim() == 4 else share
    return share * source + (1.0 - share) * target
