"""PCGrad."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.aggregates.aggregate import Aggregate, combined
from metatl.aggregates.gramian import gramian
from metatl.types import Params


@dataclass(frozen=True)
class PCGrad(Aggregate):
    """1/k sum of g_i', where g_i' is g_i without what conflicts: for every other j in random order,

        g_i' <- g_i' - min(g_i' . g_j, 0) / |g_j|^2 g_j

    All variables together are one vector. Gradients that agree (no negative product) give their mean; so does
    a single one, unchanged. Computed on inner products: g_i' is a sum of the g_j, and only its weights
    change.
    Source: Yu et al. 2020, arXiv 2001.06782 (which takes the sum: k times this).
    """

    def init(self, key: int) -> Params:
        """The key, and how many aggregates were drawn."""
        return {"drawn": torch.tensor([key, 0], dtype=torch.int64)}

    def __call__(self, gradients: Params, losses: Tensor, state: Params) -> tuple[Params, Params]:
        """The mean of the projected gradients."""
        drawn = state.get("drawn", torch.zeros(2, dtype=torch.int64))
        key, count = (int(part) for part in drawn)
        order = torch.Generator().manual_seed(1_000_003 * key + count)
        products = torch.from_numpy(gramian(gradients))
        k = len(products)
        weights = torch.eye(k, dtype=torch.float64)
        for i in range(k):
            for j in torch.randperm(k, generator=order).tolist():
                if j != i and products[j, j] > 0:
                    weights[i, j] -= (weights[i] @ products[j]).clamp(max=0) / products[j, j]
        return combined(weights.mean(0), gradients), {"drawn": drawn + torch.tensor([0, 1])}
