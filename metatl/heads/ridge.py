"""The ridge-regression output layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl import positive
from metatl.heads.head import Head
from metatl.net import Net
from metatl.types import Batch, Transfer


@dataclass(frozen=True)
class Ridge(Head):
    """Ridge regression of one-hot labels on the support features, in closed form.

    Or of real targets; of several labels, as 1 where they hold and -1 where not.

    With rows X [n, d], centred by their mean: W = scale * Y^T (X X^T + l2 I)^-1 X, bias by the means. The n x
    n form is cheap for few examples. A row of weight w counts w times. Source:
    Bertinetto et al. 2019, arXiv 1805.08136 (R2-D2).

    Args:
        l2: ridge penalty.
        scale: factor on the regression's output before the softmax (1 for real targets).
    """

    l2: float = 1.0
    scale: float = 1.0

    needs_bias = True

    def weights(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Tensor, Tensor]:
        """W [outputs, d] and b [outputs]."""
        x = net.features(transfer.params, transfer.buffers, support.x)
        kind, x, y = x.dtype, x.to(torch.promote_types(x.dtype, torch.float32)), support.y
        target, rows = _columns(y, net.outputs).to(x.dtype), support.weight
        if rows is None:
            x_mean, y_mean = x.mean(0), target.mean(0)
            x, target = x - x_mean, target - y_mean
        else:
            share, root = (rows / rows.sum()).to(x.dtype), rows.to(x.dtype).sqrt().unsqueeze(-1)
            x_mean, y_mean = share @ x, share @ target
            x, target = (x - x_mean) * root, (target - y_mean) * root
        gram = x @ x.T + self.l2 * torch.eye(x.shape[0], dtype=x.dtype, device=x.device)
        weight = self.scale * (positive.solve(gram, target).T @ x)
        return weight.to(kind), (self.scale * y_mean - weight @ x_mean).to(kind)


def _columns(y: Tensor, outputs: int) -> Tensor:
    if y.is_floating_point():
        return y.unsqueeze(-1) if y.dim() == 1 else y
    return 2 * y.long() - 1 if y.dim() == 2 else F.one_hot(y, outputs)
