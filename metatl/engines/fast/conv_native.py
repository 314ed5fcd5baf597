"""The three passes of conv.py on compiled kernels."""

from __future__ import annotations

from torch import Tensor

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
from metatl.engines.fast.products import ProductSpec
from metatl.engines.fast.tasks import Maybe

_NO_NUMBERS = (0.0, 0.0)


def forward(spec: ProductSpec, x: Tensor, w: Tensor) -> Tensor:
    """z."""
    shape = (max(x.shape[0], w.shape[0]), x.shape[1], *spec.out(x.shape, w.shape), w.shape[1])
    (z,) = launch("conv_forward", geometry(spec, x, w), _NO_NUMBERS, [image(x), filters(w)], [shape])
    return image_back(z)


def backward(spec: ProductSpec, g: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
    """(gx, gw), those that spec.wanted names."""
    shapes = _shapes(spec, (False, *spec.wanted), g, x, w, g.shape[0])[1:]
    inputs = [image(g), image(x), filters(w)]
    out = launch("conv_backward", geometry(spec, x, w), _NO_NUMBERS, inputs, shapes)
    return _back((False, *spec.wanted), out)


def second(spec: ProductSpec, g: Tensor, x: Tensor, w: Tensor, vx: Maybe, vw: Maybe) -> tuple[Tensor, ...]:
    """Cotangents of g, x and w, those that spec.wanted names."""
    tasks = max(t.shape[0] for t in (g, x, w, vx, vw) if t is not None)
    shapes = _shapes(spec, spec.wanted, g, x, w, tasks)
    inputs = [image(g), image(x), filters(w), image(vx), filters(vw)]
    out = launch("conv_second", geometry(spec, x, w), _NO_NUMBERS, inputs, shapes)
    return _back(spec.wanted, out)


def _shapes(
    spec: ProductSpec, wanted: tuple[bool, ...], g: Tensor, x: Tensor, w: Tensor, tasks: int
) -> list[tuple[int, ...] | None]:
    shapes = (image_shape(g, tasks), image_shape(x, tasks), filters_shape(w, 1 if spec.sum_w else tasks))
    return [shape if want else None for shape, want in zip(shapes, wanted, strict=True)]


def _back(wanted: tuple[bool, ...], out: list[Tensor]) -> tuple[Tensor, ...]:
    ways = [way for way, want in zip((image_back, image_back, filters_back), wanted, strict=True) if want]
    return tuple(way(t) for way, t in zip(ways, out, strict=True))
