"""The three products of a convolution for many tasks: patches times filters, and the two ways back.

Layout: x [task, n, C, H, W] and z [task, n, O, h, w], channels last in memory; w [task, O, C, kh, kw], best
with kh kw C O as the order of memory; a task axis of 1 is shared.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

Pair = tuple[int, int]


@dataclass(frozen=True)
class ProductSpec:
    """How a convolution slides, which gradients are wanted, and whether that of w is summed over tasks."""

    stride: Pair
    padding: Pair
    dilation: Pair
    wanted: tuple[bool, ...] = ()
    sum_w: bool = False

    def out(self, size: torch.Size, kernel: torch.Size) -> Pair:
        """Height and width of the output for an input [..., H, W] and filters [..., kh, kw]."""
        h, w = (
            (size[a] + 2 * self.padding[a] - self.dilation[a] * (kernel[a] - 1) - 1) // self.stride[a] + 1
            for a in (-2, -1)
        )
        return h, w


def patches(x: Tensor, w: torch.Size, spec: ProductSpec) -> Tensor:
    """[task, n, C, H, W] -> [task, n h w, kh kw C]."""
    (kh, kw), (sh, sw), (dh, dw), (h, wide) = w[-2:], spec.stride, spec.dilation, spec.out(x.shape, w)
    last = x.permute(0, 1, 3, 4, 2)
    ph, pw = spec.padding
    if ph or pw:
        last = F.pad(last, (0, 0, pw, pw, ph, ph))
    last = last.contiguous()
    t, n, rows, columns, c = last.shape
    row = columns * c
    view = last.as_strided(
        (t, n, h, wide, kh, kw, c), (n * rows * row, rows * row, sh * row, sw * c, dh * row, dw * c, 1)
    )
    return view.reshape(t, n * h * wide, kh * kw * c)


def _spread(columns: Tensor, x: torch.Size, w: torch.Size, spec: ProductSpec) -> Tensor:
    """The transpose of `patches`: every patch added back to where it came from; [task, n, C, H, W]."""
    (kh, kw), (sh, sw), (dh, dw), (h, wide) = w[-2:], spec.stride, spec.dilation, spec.out(x, w)
    (ph, pw), (n, c, height, width) = spec.padding, x[1:]
    columns = columns.view(columns.shape[0], n, h, wide, kh, kw, c)
    total = columns.new_zeros(columns.shape[0], n, height + 2 * ph, width + 2 * pw, c)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dh, j * dw
            rows = slice(top, top + sh * (h - 1) + 1, sh)
            total[:, :, rows, left : left + sw * (wide - 1) + 1 : sw] += columns[:, :, :, :, i, j]
    return total[:, :, ph : ph + height, pw : pw + width].permute(0, 1, 4, 2, 3)


def _rows(z: Tensor) -> Tensor:
    """[task, n, O, h, w] -> [task, n h w, O]."""
    return z.permute(0, 1, 3, 4, 2).reshape(z.shape[0], -1, z.shape[2])


def _taps(w: Tensor) -> Tensor:
    """[task, O, C, kh, kw] -> [task, kh kw C, O]."""
    return w.permute(0, 3, 4, 2, 1).reshape(w.shape[0], -1, w.shape[1])


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    """[task, i, k] @ [task, k, j], either shared; one large product where b is shared."""
    return a @ (b[0] if b.shape[0] == 1 else b)


def conv(columns: Tensor, w: Tensor, x: torch.Size, spec: ProductSpec) -> Tensor:
    """z from patches(x)."""
    z = _matmul(columns, _taps(w))
    return z.view(z.shape[0], x[1], *spec.out(x, w.shape), w.shape[1]).permute(0, 1, 4, 2, 3)


def by_x(g: Tensor, w: Tensor, x: torch.Size, spec: ProductSpec) -> Tensor:
    """conv^T(g, w) in the shape x."""
    return _spread(_matmul(_rows(g), _taps(w).mT), x, w.shape, spec)


def by_w(g: Tensor, columns: Tensor, w: torch.Size, spec: ProductSpec) -> Tensor:
    """patches(x)^T g in the shape w, summed over tasks if the spec says so."""
    g = _rows(g)
    if spec.sum_w:
        tasks = max(g.shape[0], columns.shape[0])
        g, columns = (a.expand(tasks, -1, -1).reshape(1, -1, a.shape[-1]) for a in (g, columns))
    taps = columns.mT @ g
    return taps.view(-1, w[3], w[4], w[2], w[1]).permute(0, 4, 3, 1, 2)
