"""PCGrad."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.aggregates.aggregate import Aggregate
from metatl.types import Params


@dataclass(frozen=True)
class PCGrad(Aggregate):
    """1/k sum of g_i', where g_i' is g_i without what conflicts: for every other j in random order,

        g_i' <- g_i' - min(g_i' . g_j, 0) / |g_j|^2 g_j

    All variables together are one vector. Gradients that agree (no negative product) give their mean; so does
    a single one, unchanged. Source: Yu et al. 2020, arXiv 2001.06782 (which takes the sum: k times this).
    """

    def init(self, key: int) -> Params:
        """The key, and how many aggregates were drawn."""
        return {"drawn": torch.tensor([key, 0], dtype=torch.int64)}

    def __call__(self, gradients: Params, losses: Tensor, state: Params) -> tuple[Params, Params]:
        """The mean of the projected gradients."""
        flat = torch.cat([leaf.flatten(1) for leaf in gradients.values()], 1)
        key, count = (int(part) for part in state["drawn"])
        order = torch.Generator().manual_seed(1_000_003 * key + count)
        squares, kept = flat.square().sum(1), list(flat)
        for i in range(len(flat)):
            for j in torch.randperm(len(flat), generator=order).tolist():
                if j != i and squares[j] > 0:
                    kept[i] = kept[i] - (kept[i] @ flat[j]).clamp(max=0) / squares[j] * flat[j]
        parts = torch.stack(kept).mean(0).split([leaf[0].numel() for leaf in gradients.values()])
        found = zip(gradients.items(), parts, strict=True)
        drawn = state["drawn"] + torch.tensor([0, 1])
        return {name: part.view(leaf.shape[1:]) for (name, leaf), part in found}, {"drawn": drawn}
