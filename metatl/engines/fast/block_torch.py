"""The three passes of block.py as torch operations; the compiled kernels give the same numbers.

Shapes: x [task, n, C, H, W], w [task, O, C, kh, kw], gamma, beta and r [task, O], xhat [task, n, O, h, w], y
like xhat or, pooled, [task, n, O, h // 2, w // 2].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.engines.fast import products
from metatl.engines.fast.products import ProductSpec
from metatl.engines.fast.tasks import Maybe

_AXES = (1, 3, 4)


@dataclass(frozen=True)
class Block(ProductSpec):
    """A convolution's spec; eps of the norm, slope of the leaky ReLU, pooling, images that give moments."""

    eps: float = 1e-5
    slope: float = 0.0
    pool: bool = False
    first: int | None = None

    def size(self, xhat: torch.Size) -> torch.Size:
        """The shape of y."""
        return xhat if not self.pool else torch.Size((*xhat[:3], xhat[3] // 2, xhat[4] // 2))

    def share(self, xhat: Tensor) -> Tensor:
        """1_S / N, broadcasting over xhat."""
        first = xhat.shape[1] if self.first is None else self.first
        count = first * xhat.shape[3] * xhat.shape[4]
        mask = (torch.arange(xhat.shape[1], device=xhat.device) < first).to(xhat.dtype) / count
        return mask.view(1, -1, 1, 1, 1)


class _Window:
    """The derivative m of pooling and activation, as the two ways to apply it."""

    def __init__(self, block: Block, xhat: Tensor, gamma: Tensor, beta: Tensor) -> None:
        self.shape = xhat.shape
        u = xhat * _wide(gamma) + _wide(beta)
        self.index: Maybe = None
        if block.pool:
            top, index = F.max_pool2d(u.flatten(0, 1), 2, return_indices=True)
            u, self.index = (a.unflatten(0, self.shape[:2]) for a in (top, index))
        self.factor = torch.where(u > 0, u.new_ones(()), u.new_full((), block.slope))
        self.output = u * self.factor

    def up(self, gy: Tensor) -> Tensor:
        """m gy, in the shape of xhat."""
        passed = gy * self.factor
        if self.index is None:
            return passed
        full = passed.new_zeros(*self.shape[:3], self.shape[3] * self.shape[4])
        return full.scatter(3, self.index.flatten(3), passed.flatten(3)).view(self.shape)

    def down(self, full: Tensor) -> Tensor:
        """The sum of m full over each pooling window."""
        if self.index is not None:
            full = full.flatten(3).gather(3, self.index.flatten(3)).view(self.index.shape)
        return full * self.factor


def _wide(vector: Tensor) -> Tensor:
    """[task, O] -> [task, 1, O, 1, 1]."""
    return vector[:, None, :, None, None]


def forward(block: Block, x: Tensor, w: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
    """(y, xhat, r)."""
    z = products.conv(products.patches(x, w.shape, block), w, x.shape, block)
    seen = z if block.first is None else z[:, : block.first]
    mean = seen.mean(_AXES, keepdim=True)
    r = ((seen - mean).square().mean(_AXES) + block.eps).rsqrt()
    xhat = (z - mean) * _wide(r)
    return _Window(block, xhat, gamma, beta).output, xhat, r


def _by_z(block: Block, h: Tensor, gr: Maybe, xhat: Tensor, r: Tensor) -> Tensor:
    """gz."""
    share = block.share(xhat)
    slant = (h * xhat).sum(_AXES)
    slant = slant if gr is None else slant + gr * r
    return _wide(r) * (h - share * (h.sum(_AXES, keepdim=True) + xhat * _wide(slant)))


def backward(
    block: Block,
    gy: Tensor,
    gxhat: Maybe,
    gr: Maybe,
    x: Tensor,
    w: Tensor,
    gamma: Tensor,
    beta: Tensor,
    xhat: Tensor,
    r: Tensor,
) -> tuple[Tensor, ...]:
    """(gx, gw as block.wanted says, ggamma, gbeta)."""
    passed = _Window(block, xhat, gamma, beta).up(gy)
    h = passed * _wide(gamma)
    gz = _by_z(block, h if gxhat is None else h + gxhat, gr, xhat, r)
    out: list[Tensor] = []
    if block.wanted[0]:
        out.append(products.by_x(gz, w, x.shape, block))
    if block.wanted[1]:
        out.append(products.by_w(gz, products.patches(x, w.shape, block), w.shape, block))
    return *out, (passed * xhat).sum(_AXES), passed.sum(_AXES)


def second(
    block: Block,
    gy: Tensor,
    x: Tensor,
    w: Tensor,
    gamma: Tensor,
    beta: Tensor,
    xhat: Tensor,
    r: Tensor,
    ggamma: Tensor,
    gbeta: Tensor,
    vx: Maybe,
    vw: Maybe,
    vgamma: Maybe,
    vbeta: Maybe,
) -> tuple[Tensor, ...]:
    """The cotangents of gy, x and w (as block.wanted says), gamma, xhat and r."""
    window, share = _Window(block, xhat, gamma, beta), block.share(xhat)
    vz, columns = torch.zeros_like(xhat), None
    if vx is not None:
        columns = products.patches(vx, w.shape, block)
        vz = vz + products.conv(columns, w, x.shape, block)
    if vw is not None:
        vz = vz + products.conv(products.patches(x, w.shape, block), vw, x.shape, block)
    a, c = (vz * share).sum(_AXES), (vz * share * xhat).sum(_AXES)
    s, t = gamma * gbeta, gamma * ggamma
    e = _wide(r) * (vz - _wide(a) - _wide(c) * xhat)
    passed = window.up(gy)
    by_h, cxhat = e * _wide(gamma), -_wide(r) * (passed * _wide(c * gamma) + share * vz * _wide(t))
    if vgamma is not None:
        by_h, cxhat = by_h + _wide(vgamma) * xhat, cxhat + passed * _wide(vgamma)
    if vbeta is not None:
        by_h = by_h + _wide(vbeta)
    gz = _by_z(block, passed * _wide(gamma), None, xhat, r)
    out: list[Tensor] = [window.down(by_h)]
    if block.wanted[0] and vw is not None:
        out.append(products.by_x(gz, vw, x.shape, block))
    if block.wanted[1] and columns is not None:
        out.append(products.by_w(gz, columns, w.shape, block))
    cr = (vz * passed).sum(_AXES) * gamma - a * s - c * t
    return *out, (passed * e).sum(_AXES), cxhat, cr
