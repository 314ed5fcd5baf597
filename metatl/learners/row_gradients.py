"""The gradients of the rows of a batch, one by one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.func import vjp, vmap

from metatl.net import Net
from metatl.types import Batch, Params, Transfer


def row_gradients(net: Net, carried: Transfer, names: tuple[str, ...], rows: Batch) -> Params:
    """d log p(y | x) / d theta for every row, [rows, ...] of every named weight."""

    def log_p(weights: Params) -> Tensor:
        return net({**carried.params, **weights}, carried.buffers, rows.x).log_softmax(-1)

    logs, back = vjp(log_p, {n: carried.params[n] for n in names})  # pyright: ignore[reportAssignmentType]
    hot = torch.nn.functional.one_hot(rows.y, logs.shape[1]).to(logs.dtype)
    pick = torch.eye(len(logs), dtype=logs.dtype, device=logs.device).unsqueeze(-1) * hot
    (grads,) = vmap(back)(pick)
    return grads
