"""Fused operations of recurrent cells and attention, written out: torch's own do not batch over tasks.

The cells write in place into what tasks may share; the formulas are those of torch's documentation.
The fused attention has no batching rule and no second derivative; torch's own unfused one has both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

Maybe = Tensor | None


def unfused_attention() -> AbstractContextManager[Any]:
    """Inside it, torch's attention runs as products and a softmax, which can be differentiated twice."""
    return sdpa_kernel(SDPBackend.MATH)


def _lstm_cell(
    x: Tensor, hx: tuple[Tensor, Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
) -> tuple[Tensor, Tensor]:
    h, c = hx
    i, f, g, o = (F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh)).chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


def _gru_cell(
    x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
) -> Tensor:
    r, z, n = F.linear(x, w_ih, b_ih).chunk(3, -1)
    r_h, z_h, n_h = F.linear(h, w_hh, b_hh).chunk(3, -1)
    z = (z + z_h).sigmoid()
    n = (n + (r + r_h).sigmoid() * n_h).tanh()
    return n + z * (h - n)


def _plain_cell(activation: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def cell(
        x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Maybe = None, b_hh: Maybe = None
    ) -> Tensor:
        return activation(F.linear(x, w_ih, b_ih) + F.linear(h, w_hh, b_hh))

    return cell


def _unfused(fn: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with unfused_attention():
            return fn(*args, **kwargs)

    return call


STOCK: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.lstm_cell: _lstm_cell,
    torch.gru_cell: _gru_cell,
    torch.rnn_tanh_cell: _plain_cell(torch.tanh),
    torch.rnn_relu_cell: _plain_cell(torch.relu),
    F.scaled_dot_product_attention: _unfused(F.scaled_dot_product_attention),
    F.multi_head_attention_forward: _unfused(F.multi_head_attention_forward),
}


class Batchable(TorchFunctionMode):
    """Inside it everything runs as torch has it, but for what torch cannot batch over tasks.

    Right where a pass is differentiated at most once under vmap, and there faster on a CPU than task-batched
    patches: evaluation, scouts, Reptile, first-order unrolling.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The written-out function, or the stock one."""
        return STOCK.get(func, func)(*args, **(kwargs or {}))
