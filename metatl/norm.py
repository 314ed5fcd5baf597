"""Batch norm whose rows are chosen from outside: which rows of a pass give the moments is a recorded value.

Our own nets use `BatchNorm`; every other net's norms are led here at the call (`norm_calls.py`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl.types import MetatlError


@dataclass(frozen=True)
class Rows:
    """Which rows of a forward pass give batch norm its moments.

    first: the first `first` rows, or all rows for None; frozen: the running moments instead of any row;
    sink: where a pass leaves the moments of its norms, by the name of the running mean that they belong to
    (by its identity until a `Net` names it): of a whole batch with the variance that running averages are
    made of (n - 1), of the first rows as they are used (n); weight: [rows], how often
    each row counts.
    """

    first: int | None = None
    frozen: bool = False
    sink: dict[int | str, tuple[Tensor, Tensor]] | None = None
    weight: Tensor | None = None


_rows: ContextVar[Rows] = ContextVar("rows", default=Rows())


def rows_now() -> Rows:
    """What `moments_from` says here."""
    return _rows.get()


@contextmanager
def moments_from(rows: Rows) -> Generator[None]:
    """Run forward passes with the moments of batch norms taken from these rows."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def check_values(rows: int, places: tuple[int, ...]) -> None:
    """Raise MetatlError where `rows` rows of maps of this size are a single value a channel."""
    if rows * prod(places) <= 1:
        raise MetatlError(
            "a batch norm sees a single value a channel, which has no moments; give it more support rows "
            "(a larger batch_size), or choose moments: frozen"
        )


def _along_channels(vector: Tensor, x: Tensor) -> Tensor:
    return vector.view(1, -1, *([1] * (x.dim() - 2)))


def affine(y: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """y * weight + bias along axis 1 of [n, channels, ...], either of them left out for None."""
    y = y if weight is None else y * _along_channels(weight, y)
    return y if bias is None else y + _along_channels(bias, y)


def batch_norm(
    x: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    eps: float,
) -> Tensor:
    """(x - m) / sqrt(v + eps) * weight + bias over axis 1 of x [n, channels, ...]; same shape.

    m and v come from the rows that `moments_from` names; mean and var are the running ones, which are read
    and never written. Raises MetatlError for moments of a single value, and for frozen ones that are not
    there. Source: Ioffe & Szegedy 2015, arXiv 1502.03167.
    """
    rows = _rows.get()
    if rows.frozen:
        # Affine and all: with constant moments the stock norm is exact at every order.
        if mean is None or var is None:
            raise MetatlError("a batch norm has no running moments; choose moments: batch or support")
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)
    check_values(x.shape[0] if rows.first is None else rows.first, tuple(x.shape[2:]))
    key = id(mean)
    if rows.first is not None or rows.weight is not None:
        return _from_first(x, rows, key, (weight, bias), eps)
    if rows.sink is not None:
        return _ordinary(x, rows.sink, key, (weight, bias), eps)
    return affine(F.batch_norm(x, None, None, None, None, True, 0.0, eps), weight, bias)


Affine = tuple[Tensor | None, Tensor | None]


def _ordinary(
    x: Tensor, sink: dict[int | str, tuple[Tensor, Tensor]], key: int, layer: Affine, eps: float
) -> Tensor:
    # Ordinary training takes one derivative outside vmap, where the stock norm is exact and fastest; with
    # momentum 1 it leaves this batch's moments in what it takes for running ones.
    mean, var = x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
    y = F.batch_norm(x, mean, var, *layer, True, 1.0, eps)
    sink[key] = (mean, var)
    return y


def _from_first(x: Tensor, rows: Rows, key: int, layer: Affine, eps: float) -> Tensor:
    seen = x if rows.first is None else x[: rows.first]
    axes = [0, *range(2, x.dim())]

    def average(values: Tensor) -> Tensor:
        if rows.weight is None:
            return values.mean(axes)
        share = (rows.weight / rows.weight.sum()).to(values.dtype).view(-1, *([1] * (values.dim() - 1)))
        return (values * share).sum(0, keepdim=True).mean(axes)

    mean = average(seen)
    var = average((seen - _along_channels(mean, x)).square())
    if rows.sink is not None:
        rows.sink[key] = (mean, var)
    scale = (var + eps).rsqrt()
    weight, bias = layer
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    # One pass over all rows: y = shift + x * scale, channel by channel.
    return torch.addcmul(_along_channels(shift, x), x, _along_channels(scale, x))


class BatchNorm(nn.Module):
    """Batch norm over axis 1 of [n, channels, ...], as `batch_norm` has it.

    The moments come from the rows that `moments_from` names, never from `self.training`; the running moments
    are buffers that a learner updates from outside.
    """

    def __init__(self, channels: int, eps: float = 1e-5, affine: bool = True, running: bool = True) -> None:
        super().__init__()
        self.eps, self.running = eps, running
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        if running:
            self.register_buffer("running_mean", torch.zeros(channels))
            self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [n, channels, ...]; output of the same shape."""
        mean, var = (self._buffers.get(name) for name in ("running_mean", "running_var"))
        return batch_norm(x, mean, var, self.weight, self.bias, self.eps)


def has_batch_norm(module: nn.Module) -> bool:
    """Whether any layer is a batch norm, torch's, ours or a subclass."""
    return any(isinstance(child, BatchNorm | nn.modules.batchnorm._BatchNorm) for child in module.modules())  # pyright: ignore[reportPrivateUsage]


def norm_weights(module: nn.Module) -> set[str]:
    """Scale and shift of every norm: of modules with Norm in the name of a class that they come from."""
    return {
        f"{layer}.{name}".lstrip(".")
        for layer, one in module.named_modules()
        if any("norm" in made.__name__.lower() for made in type(one).__mro__)
        for name, _ in one.named_parameters(recurse=False)
    }
