"""How well outputs rank a row's labels."""

from __future__ import annotations

import torch
from torch import Tensor

from metatl.objectives.losses import paired


def label_ranking(output: Tensor, y: Tensor) -> Tensor:
    """Averaged precision of every row [n], for outputs [n, labels] and labels y [n, labels] (bool).

    Mean over the labels j that hold of |{k holds: o_k >= o_j}| / |{k: o_k >= o_j}|; 1 where none or all hold.
    Source: Tsoumakas, Katakis & Vlahavas 2010, as in scikit-learn.
    """
    y = paired(output, y)
    shares: list[Tensor] = []
    for at in output.unbind(-1):
        above = output >= at.unsqueeze(-1)
        shares.append((above & y).sum(-1).to(output.dtype) / above.sum(-1).clamp_min(1))
    held = y.sum(-1)
    mean = (torch.stack(shares, -1) * y).sum(-1) / held.clamp_min(1)
    return torch.where((held == 0) | (held == y.shape[-1]), torch.ones_like(mean), mean)
