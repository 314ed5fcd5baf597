"""Finding what runs as one function: convolution, batch norm, (leaky) ReLU and 2x2 max-pooling in a row."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from metatl.engines.fast.block import conv_norm_act
from metatl.engines.fast.block_torch import Block
from metatl.engines.fast.products import Pair
from metatl.module_checks import hooked
from metatl.norm import BatchNorm, check_values, rows_now

Norm = BatchNorm | nn.BatchNorm1d | nn.BatchNorm2d


class FusedLayers(NamedTuple):
    """Layers in a row that are one function, and how many they are."""

    conv: nn.Conv1d | nn.Conv2d
    norm: Norm
    block: Block
    layers: int

    def _places(self, x: Tensor) -> Pair:
        """Height and width of what the convolution gives."""
        sizes = x.shape[2:] if x.dim() == 4 else (1, *x.shape[2:])
        kernel = _pair(self.conv.kernel_size, 1)
        rows = zip(sizes, kernel, self.block.stride, self.block.padding, self.block.dilation, strict=True)
        first, second = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in rows)
        return first, second

    def __call__(self, x: Tensor, first: int | None) -> Tensor:
        """The layers' output; a signal [n, C, samples] is an image of one line."""
        weight, (gamma, beta) = self.conv.weight, self.norm.parameters()
        check_values(x.shape[0] if first is None else first, self._places(x))
        block = replace(self.block, first=first)
        if x.dim() == 3:
            return conv_norm_act(x.unsqueeze(2), weight.unsqueeze(2), gamma, beta, block).squeeze(2)
        return conv_norm_act(x, weight, gamma, beta, block)


def _norm(layer: nn.Module) -> Norm | None:
    known = isinstance(layer, BatchNorm | nn.BatchNorm1d | nn.BatchNorm2d)
    if not known or type(layer) not in (BatchNorm, nn.BatchNorm1d, nn.BatchNorm2d):
        return None
    return None if layer.weight is None or layer.bias is None else layer


def _convolution(layer: nn.Module) -> nn.Conv1d | nn.Conv2d | None:
    if not isinstance(layer, nn.Conv1d | nn.Conv2d) or type(layer) not in (nn.Conv1d, nn.Conv2d):
        return None
    if layer.groups != 1 or layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return None
    return layer


def _pair(numbers: Any, fill: int) -> Pair:
    return (numbers[0], numbers[1]) if len(numbers) == 2 else (fill, numbers[0])


def _halves(layer: nn.Module) -> bool:
    if type(layer) is not nn.MaxPool2d or layer.ceil_mode or layer.return_indices:
        return False
    numbers: Sequence[Any] = (layer.kernel_size, layer.stride, layer.padding, layer.dilation)
    return all(n in (want, (want, want)) for n, want in zip(numbers, (2, 2, 0, 1), strict=True))


def _slope(layer: nn.Module) -> float | None:
    if type(layer) is nn.ReLU:
        return 0.0
    if type(layer) is nn.LeakyReLU and 0.0 <= layer.negative_slope <= 1.0:
        return layer.negative_slope
    return None


def find_run(layers: Sequence[nn.Module]) -> FusedLayers | None:
    """The run that starts with the first of these layers, if one does."""
    conv = _convolution(layers[0])
    norm = _norm(layers[1]) if len(layers) > 1 else None
    if conv is None or norm is None:
        return None
    slope = _slope(layers[2]) if len(layers) > 2 else None
    pool = slope is not None and len(layers) > 3 and _halves(layers[3])
    taken = 2 + (slope is not None) + pool
    if any(hooked(layer) or is_parametrized(layer) for layer in layers[:taken]):
        return None
    slope = 1.0 if slope is None else slope
    window = (_pair(conv.stride, 1), _pair(conv.padding, 0), _pair(conv.dilation, 1))
    return FusedLayers(conv, norm, Block(*window, eps=norm.eps, slope=slope, pool=pool), taken)


class Fused(nn.Sequential):
    """The same layers, weights and names; runs of them are one function where the pass gives the moments.

    A convolution's bias has no part in it: the norm takes it away, and its gradient is 0.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """All layers in turn."""
        layers, at, moments, x = list(self), 0, rows_now(), input
        while at < len(layers):
            run = None if moments.frozen or moments.sink is not None else find_run(layers[at:])
            if run is None or x.dim() != run.conv.weight.dim():
                x, at = layers[at](x), at + 1
            else:
                x, at = run(x, moments.first), at + run.layers
        return x


def fuse(module: nn.Module) -> nn.Module:
    """The module with every nn.Sequential in it fused; layers are shared with the original, names stay."""
    children = {name: fuse(child) for name, child in module.named_children()}
    if not children or is_parametrized(module):  # which is not to be copied
        return module
    if type(module) is nn.Sequential:
        new: nn.Module = Fused()
        new.__dict__.update(module.__dict__)  # hooks and all
    else:
        new = copy.copy(module)
    new.__dict__["_modules"] = dict(module.__dict__["_modules"])
    new.__dict__["_modules"].update(children)
    return new
