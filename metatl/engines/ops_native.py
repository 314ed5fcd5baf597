"""The compiled kernels of metatl/csrc, built on first use where a C++ compiler is at hand.

They are optional: without a compiler, on another device or for sizes they do not cover, the same formulas run
as torch operations. METATL_NATIVE=0 switches them off; METATL_CACHE names the folder of built libraries.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metatl.engines.ops_products import Spec
from metatl.engines.ops_tasks import Maybe

_SOURCES = Path(__file__).resolve().parent.parent / "csrc"
_FLAGS = ("-O3", "-march=native", "-std=c++20", "-fPIC", "-shared", "-fno-math-errno", "-fno-trapping-math")


def _compilers() -> list[str]:
    names = (os.environ.get("CXX"), "c++", "g++", "clang++")
    return [path for path in (shutil.which(name) for name in names if name) if path]


def _run(*command: str) -> bytes | None:
    try:
        done = subprocess.run(command, capture_output=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("METATL_CACHE") or Path(home) / "metatl")


def _build(compiler: str) -> Path | None:
    """Path of the library for this source, compiler and processor; built where it is not there yet."""
    macros = _run(compiler, "-march=native", "-dM", "-E", "-x", "c++", os.devnull)
    if macros is None:
        return None
    text = b"".join(path.read_bytes() for path in sorted(_SOURCES.iterdir()))
    target = _cache() / f"ops-{hashlib.sha256(text + macros + repr(_FLAGS).encode()).hexdigest()[:16]}.so"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        new = Path(folder) / target.name
        for threads in (("-fopenmp",), ()):
            if _run(compiler, *_FLAGS, *threads, str(_SOURCES / "ops.cpp"), "-o", str(new)) is not None:
                new.replace(target)
                return target
    return None


@lru_cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where they cannot be built."""
    if os.environ.get("METATL_NATIVE") == "0" or not _SOURCES.is_dir():
        return None
    for compiler in _compilers():
        try:
            path = _build(compiler)
            if path is not None:
                lib = ctypes.CDLL(str(path))
                lib.keep_freed_memory()
                return lib
        except OSError:
            continue
    return None


def covers(x: Tensor, w: Tensor, by_x: bool) -> bool:
    """Whether there are kernels for this convolution; by_x: its gradient by x takes part too."""
    if x.device.type != "cpu" or x.dtype not in (torch.float32, torch.float64) or x.dtype != w.dtype:
        return False
    lib = library()
    if lib is None:
        return False
    width = int(lib.vector_width(x.element_size()))
    return w.shape[1] % width == 0 and (not by_x or w.shape[2] % width == 0)


def geometry(spec: Spec, x: Tensor, w: Tensor, pool: bool = False, first: int | None = None) -> list[int]:
    """The fields of `struct Geometry` behind tasks and threads."""
    window = (*spec.out(x.shape, w.shape), *w.shape[3:], *spec.stride, *spec.padding, *spec.dilation)
    return [*x.shape[1:], w.shape[1], *window, int(pool), x.shape[1] if first is None else first]


def image(x: Maybe) -> Maybe:
    """[task, n, C, H, W] -> [task, n, H, W, C], as it lies in memory."""
    return None if x is None else x.permute(0, 1, 3, 4, 2).contiguous()


def filters(w: Maybe) -> Maybe:
    """[task, O, C, kh, kw] -> [task, kh, kw, C, O], as it lies in memory."""
    return None if w is None else w.permute(0, 3, 4, 2, 1).contiguous()


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


def run_kernel(
    name: str, numbers: list[int], eps: float, slope: float, inputs: list[Maybe], sizes: list[int]
) -> list[Tensor]:
    """The operation `metatl::kernel`: allocate the outputs (rank and shape, 0: not wanted), run."""
    lib, tasks, like = library(), numbers[0], next(t for t in inputs if t is not None)
    assert lib is not None
    outputs: list[Maybe] = []
    while sizes:
        rank, sizes = sizes[0], sizes[1:]
        shape, sizes = sizes[:rank], sizes[rank:]
        if not rank:
            outputs.append(None)
        else:
            outputs.append(like.new_zeros(shape) if shape[0] < tasks else like.new_empty(shape))
    arguments: list[Any] = []
    for tensors in (inputs, outputs):
        pointers = [None if t is None else t.data_ptr() for t in tensors]
        strides = [0 if t is None or t.shape[0] < tasks else t.stride(0) for t in tensors]
        arguments.append((ctypes.c_void_p * len(pointers))(*pointers))
        arguments.append((ctypes.c_long * len(strides))(*strides))
    suffix = "f32" if like.dtype == torch.float32 else "f64"
    run = getattr(lib, f"{name}_{suffix}")
    numbers = [tasks, torch.get_num_threads(), *numbers[1:]]
    run((ctypes.c_long * len(numbers))(*numbers), ctypes.c_double(eps), ctypes.c_double(slope), *arguments)
    return [t for t in outputs if t is not None]


# As an operation of torch's own, a kernel shows up in traced graphs.
_LIBRARY = torch.library.Library("metatl", "DEF")
_LIBRARY.define(
    "kernel(str name, int[] numbers, float eps, float slope, Tensor?[] inputs, int[] sizes) -> Tensor[]"
)
_LIBRARY.impl("kernel", run_kernel, "CPU")
