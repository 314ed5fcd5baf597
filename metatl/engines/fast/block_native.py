"""The three passes of block.py on compiled kernels; signatures and numbers of block_torch.py."""

from __future__ import annotations

from torch import Tensor

from metatl.engines.fast.block_torch import Block
from metatl.engines.fast.native import (
    filters,
    filters_back,
    filters_shape,
    geometry,
    image,
    image_back,
    image_shape,
    launch,
)
from metatl.engines.fast.tasks import Maybe


def forward(block: Block, x: Tensor, w: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
    """(y, xhat, r)."""
    tasks, n, (h, wide) = (
        max(t.shape[0] for t in (x, w, gamma, beta)),
        x.shape[1],
        block.out(x.shape, w.shape),
    )
    outputs = w.shape[1]
    pooled = (h // 2, wide // 2) if block.pool else (h, wide)
    shapes = [(tasks, n, *pooled, outputs), (tasks, n, h, wide, outputs), (tasks, outputs)]
    numbers = geometry(block, x, w, block.pool, block.first)
    inputs = [image(x), filters(w), gamma, beta]
    y, xhat, r = launch("block_forward", numbers, (block.eps, block.slope), inputs, shapes)
    return image_back(y), image_back(xhat), r


def _shapes(block: Block, x: Tensor, w: Tensor, tasks: int) -> list[tuple[int, ...] | None]:
    by_x = image_shape(x, tasks) if block.wanted[0] else None
    by_w = filters_shape(w, 1 if block.sum_w else tasks) if block.wanted[1] else None
    return [by_x, by_w]


def _back(block: Block, by_xw: list[Tensor]) -> list[Tensor]:
    ways = [back for back, wanted in zip((image_back, filters_back), block.wanted, strict=True) if wanted]
    return [back(t) for back, t in zip(ways, by_xw, strict=True)]


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
    tasks = xhat.shape[0]
    inputs = [image(gy), image(gxhat), gr, image(x), filters(w), gamma, beta, image(xhat), r]
    shapes = [*_shapes(block, x, w, tasks), r.shape, r.shape]
    numbers = geometry(block, x, w, block.pool, block.first)
    *by_xw, ggamma, gbeta = launch("block_backward", numbers, (block.eps, block.slope), inputs, shapes)
    return *_back(block, by_xw), ggamma, gbeta


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
    tasks = xhat.shape[0]
    inputs = [image(gy), image(x), filters(w), gamma, beta, image(xhat), r, ggamma, gbeta]
    inputs += [image(vx), filters(vw), vgamma, vbeta]
    by_xw = _shapes(block, x, w, tasks)
    shapes = [image_shape(gy, tasks), *by_xw, r.shape, image_shape(xhat, tasks), r.shape]
    numbers = geometry(block, x, w, block.pool, block.first)
    cgy, *by_xw, cgamma, cxhat, cr = launch("block_second", numbers, (block.eps, block.slope), inputs, shapes)
    return image_back(cgy), *_back(block, by_xw), cgamma, image_back(cxhat), cr
