"""Normalisation that is exact under vmap and second order, and the choice of rows that give the moments.

The stock affine batch, layer and instance norms give silently wrong meta-gradients under vmap and second
order (torch 2.13: forward exact, gradient about 2 % off on a Conv4). Normalising without the affine part and
then `* weight + bias` is exact; every norm here is written so.
"""

from __future__ import annotations

import copy
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl.types import MetatlError


@dataclass(frozen=True)
class Rows:
    """Which rows of a forward pass give batch norm its moments.

    first: the first `first` rows, or all rows for None; frozen: the running moments instead of any row;
    sink: where a pass leaves the moments of its norms, by module identity: of a whole batch with the variance
    that running averages are made of (n - 1), of the first rows as they are used (n).
    """

    first: int | None = None
    frozen: bool = False
    sink: dict[int, tuple[Tensor, Tensor]] | None = None


_rows: ContextVar[Rows] = ContextVar("rows", default=Rows())


@contextmanager
def moments_from(rows: Rows) -> Generator[None]:
    """Run forward passes with the moments of batch norms taken from these rows."""
    token = _rows.set(rows)
    try:
        yield
    finally:
        _rows.reset(token)


def _along_channels(vector: Tensor, x: Tensor) -> Tensor:
    return vector.view(1, -1, *([1] * (x.dim() - 2)))


class BatchNorm(nn.Module):
    """Batch norm over axis 1 of [n, channels, ...]: (x - mean) / sqrt(var + eps) * weight + bias.

    The moments come from the rows that `moments_from` names, never from `self.training`; the running moments
    are buffers that a learner updates from outside. Source: Ioffe & Szegedy 2015, arXiv 1502.03167.
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
        rows = _rows.get()
        if rows.frozen:
            # Affine and all: with constant moments the stock norm is exact at every order.
            if not self.running:
                raise MetatlError("a batch norm has no running moments; choose moments: batch or support")
            mean, var = self.get_buffer("running_mean"), self.get_buffer("running_var")
            return F.batch_norm(x, mean, var, self.weight, self.bias, False, 0.0, self.eps)
        if rows.first is not None:
            return self._from_first(x, rows.first, rows.sink)
        if rows.sink is not None:
            return self._ordinary(x, rows.sink)
        y = F.batch_norm(x, None, None, None, None, True, 0.0, self.eps)
        if self.weight is None or self.bias is None:
            return y
        return y * _along_channels(self.weight, x) + _along_channels(self.bias, x)

    def _ordinary(self, x: Tensor, sink: dict[int, tuple[Tensor, Tensor]]) -> Tensor:
        # Ordinary training takes one derivative outside vmap, where the stock norm is exact and fastest; with
        # momentum 1 it leaves this batch's moments in what it takes for running ones.
        mean, var = x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])
        y = F.batch_norm(x, mean, var, self.weight, self.bias, True, 1.0, self.eps)
        sink[id(self)] = (mean, var)
        return y

    def _from_first(self, x: Tensor, first: int, sink: dict[int, tuple[Tensor, Tensor]] | None) -> Tensor:
        seen = x[:first]
        axes = [0, *range(2, x.dim())]
        mean = seen.mean(axes)
        var = (seen - _along_channels(mean, x)).square().mean(axes)
        if sink is not None:
            sink[id(self)] = (mean, var)
        scale = (var + self.eps).rsqrt()
        if self.weight is not None and self.bias is not None:
            scale, shift = scale * self.weight, self.bias - mean * scale * self.weight
        else:
            shift = -mean * scale
        # One pass over all rows: y = shift + x * scale, channel by channel.
        return torch.addcmul(_along_channels(shift, x), x, _along_channels(scale, x))


class LayerNorm(nn.Module):
    """Layer norm over the last axes, affine part apart. Source: Ba, Kiros & Hinton 2016, arXiv 1607.06450."""

    def __init__(self, shape: tuple[int, ...], eps: float = 1e-5, bias: bool = True) -> None:
        super().__init__()
        self.shape, self.eps = shape, eps
        self.weight = nn.Parameter(torch.ones(shape))
        self.bias = nn.Parameter(torch.zeros(shape)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axes of x; output of the same shape."""
        y = F.layer_norm(x, self.shape, None, None, self.eps) * self.weight
        return y if self.bias is None else y + self.bias


class InstanceNorm(nn.Module):
    """Instance norm over the axes behind the channels, affine part apart (Ulyanov 2016, arXiv 1607.08022)."""

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x [n, channels, ...]; output of the same shape."""
        y = F.instance_norm(x, eps=self.eps)
        return y * _along_channels(self.weight, x) + _along_channels(self.bias, x)


_BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)


def _replacement(module: nn.Module) -> nn.Module | None:
    if isinstance(module, _BATCH):
        return BatchNorm(module.num_features, module.eps, module.affine, module.track_running_stats)
    if isinstance(module, nn.LayerNorm) and module.elementwise_affine:
        biased = "bias" in dict(module.named_parameters())
        return LayerNorm(tuple(module.normalized_shape), module.eps, biased)
    if isinstance(module, _INSTANCE) and module.affine:
        return InstanceNorm(module.num_features, module.eps)
    return None


def replace_norms(module: nn.Module) -> nn.Module:
    """A copy of a foreign net whose batch, layer and instance norms are this module's, weights kept.

    Names of weights and running moments stay as they are; a batch counter (`num_batches_tracked`) is dropped.
    Raises MetatlError for an instance norm with running moments.
    """
    module = copy.deepcopy(module)
    made: dict[nn.Module, nn.Module] = {}
    # A norm that is used in several places stays one norm.
    for name, child in list(module.named_modules(remove_duplicate=False)):
        if isinstance(child, _INSTANCE) and child.track_running_stats:
            raise MetatlError(
                f"layer '{name}' is an instance norm with running moments; build it without them "
                "(track_running_stats=False)"
            )
        new = _replacement(child)
        if new is None:
            continue
        made.setdefault(child, _loaded(child, new))
        if not name:
            return made[child]
        parent = module.get_submodule(name.rpartition(".")[0])
        setattr(parent, name.rpartition(".")[2], made[child])
    return module


def _loaded(module: nn.Module, new: nn.Module) -> nn.Module:
    old = module.state_dict()
    like = next((value for value in old.values() if value.is_floating_point()), torch.zeros(()))
    new = new.to(like)  # first, so that no value passes through another precision
    new.load_state_dict({name: old.get(name, value) for name, value in new.state_dict().items()})
    return new


def check_norms(module: nn.Module) -> None:
    """Raise MetatlError when a stock affine norm would make meta-gradients silently wrong."""
    for name, child in module.named_modules():
        if _replacement(child) is not None:
            raise MetatlError(
                f"layer '{name}' is a stock {type(child).__name__}: vmap and second order through its affine "
                "part give wrong meta-gradients; pass the net through metatl.replace_norms(net) first"
            )
