"""The compiled kernels of csrc/ as operations; `compiled` builds them.

They are optional: without a compiler, on another device or for sizes they do not cover, the same formulas run
as torch operations.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from metatl.engines.fast.compiled import library
from metatl.engines.fast.products import ProductSpec
from metatl.engines.fast.tasks import Maybe


def covers(x: Tensor, w: Tensor, by_x: bool) -> bool:
    """Whether there are kernels for this convolution; by_x: its gradient by x takes part too."""
    if x.device.type != "cpu" or x.dtype != w.dtype:
        return False
    lib = library(x.dtype)
    if lib is None:
        return False
    width = int(lib.metatl_vector_width())
    return w.shape[1] % width == 0 and (not by_x or w.shape[2] % width == 0)


def geometry(
    spec: ProductSpec, x: Tensor, w: Tensor, pool: bool = False, first: int | None = None
) -> list[int]:
    """The fields of `struct Geometry` after tasks and threads."""
    window = (*spec.out(x.shape, w.shape), *w.shape[3:], *spec.stride, *spec.padding, *spec.dilation)
    return [*x.shape[1:], w.shape[1], *window, int(pool), x.shape[1] if first is None else first]


def image(x: Maybe) -> Maybe:
    """[task, n, C, H, W] -> [task, n, H, W, C], as it lies in memory."""
    return None if x is None else x.permute(0, 1, 3, 4, 2).contiguous()


def filters(w: Maybe) -> Maybe:
    """[task, O, C, kh, kw] -> [task, kh, kw, C, O], as it lies in memory."""
    return None if w is None else w.permute(0, 3, 4, 2, 1).contiguous()


def image_shape(x: Tensor, tasks: int) -> tuple[int, ...]:
    """The shape of `image(x)` for as many tasks."""
    return (tasks, x.shape[1], *x.shape[3:], x.shape[2])


def filters_shape(w: Tensor, tasks: int) -> tuple[int, ...]:
    """The shape of `filters(w)` for as many tasks."""
    return (tasks, *w.shape[3:], w.shape[2], w.shape[1])


def image_back(x: Tensor) -> Tensor:
    """The inverse of `image`, as a view."""
    return x.permute(0, 1, 4, 2, 3)


def filters_back(w: Tensor) -> Tensor:
    """The inverse of `filters`, as a view."""
    return w.permute(0, 4, 3, 1, 2)


def launch(
    name: str,
    numbers: list[int],
    scalars: tuple[float, float],
    inputs: Sequence[Maybe],
    outputs: Sequence[Sequence[int] | None],
) -> list[Tensor]:
    """Run a kernel; inputs in the order of block.h, outputs by shape, None for one that is not wanted.

    A task axis of 1 is shared by all tasks, or summed over them.
    """
    tasks = max(t.shape[0] for t in inputs if t is not None)
    sizes = [n for shape in outputs for n in ((0,) if shape is None else (len(shape), *shape))]
    given = [t if t is None else t.contiguous() for t in inputs]
    return torch.ops.metatl.kernel(name, [tasks, *numbers], *scalars, given, sizes)


def _shapes(sizes: list[int]) -> list[list[int]]:
    """The shapes that `launch` put into one list: rank, then the axes; an empty one is not wanted."""
    shapes: list[list[int]] = []
    while sizes:
        rank = sizes[0]
        shapes.append(sizes[1 : 1 + rank])
        sizes = sizes[1 + rank :]
    return shapes


def run_kernel(
    name: str, numbers: list[int], eps: float, slope: float, inputs: list[Maybe], sizes: list[int]
) -> list[Tensor]:
    """The operation `metatl::kernel`: allocate the outputs, run."""
    tasks, like = numbers[0], next(t for t in inputs if t is not None)
    lib = library(like.dtype)
    assert lib is not None
    outputs: list[Maybe] = []
    for shape in _shapes(sizes):
        new = like.new_zeros if shape and shape[0] < tasks else like.new_empty
        outputs.append(new(shape) if shape else None)
    arguments: list[Any] = []
    for tensors in (inputs, outputs):
        pointers = [None if t is None else t.data_ptr() for t in tensors]
        strides = [0 if t is None or t.shape[0] < tasks else t.stride(0) for t in tensors]
        arguments.append((ctypes.c_void_p * len(pointers))(*pointers))
        arguments.append((ctypes.c_long * len(strides))(*strides))
    run = getattr(lib, f"metatl_{name}")
    numbers = [tasks, torch.get_num_threads(), *numbers[1:]]
    run((ctypes.c_long * len(numbers))(*numbers), ctypes.c_double(eps), ctypes.c_double(slope), *arguments)
    return [t for t in outputs if t is not None]


def _kernel_without_values(*arguments: Any) -> list[Tensor]:
    *_, inputs, sizes = arguments
    like = next(t for t in inputs if t is not None)
    return [like.new_empty(shape) for shape in _shapes(sizes) if shape]


# As an operation of torch's own, a kernel shows up in recorded graphs.
_LIBRARY = torch.library.Library("metatl", "DEF")
_LIBRARY.define(
    "kernel(str name, int[] numbers, float eps, float slope, Tensor?[] inputs, int[] sizes) -> Tensor[]"
)
_LIBRARY.impl("kernel", run_kernel, "CPU")
_LIBRARY.impl("kernel", _kernel_without_values, "Meta")
