"""The mode under which the batched engine runs a net: costly or unsafe operations become task-batched ones.

Convolutions run batched over tasks. Batch, layer, instance and group norms are split into normalisation and
affine part: torch 2.13's vmap gives wrong second derivatives for the stock ones. What is not covered runs as
it is where that is right, and raises MetatlError where it is not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.calls import Instead
from metatl.engines.fast.conv import conv2d
from metatl.engines.fast.norm import normalise
from metatl.engines.fast.products import Pair
from metatl.engines.fast.stock import STOCK
from metatl.engines.fast.tasks import Maybe
from metatl.types import MetatlError

Sizes = int | Sequence[int]


def _pair(value: Sizes) -> Pair:
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def _conv2d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Maybe = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    if groups != 1 or isinstance(padding, str) or input.dim() != 4:
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    return conv2d(input, weight, bias, _pair(stride), _pair(padding), _pair(dilation))


def _conv1d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Maybe = None,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Tensor:
    if groups != 1 or isinstance(padding, str) or input.dim() != 3:
        return torch.conv1d(input, weight, bias, stride, padding, dilation, groups)
    s, p, d = ((0 if i == 1 else 1, _pair(v)[1]) for i, v in enumerate((stride, padding, dilation)))
    return conv2d(input.unsqueeze(2), weight.unsqueeze(2), bias, s, p, d).squeeze(2)


def _affine(y: Tensor, weight: Maybe, bias: Maybe, shape: tuple[int, ...]) -> Tensor:
    y = y if weight is None else y * weight.view(shape)
    return y if bias is None else y + bias.view(shape)


def _batch_norm(
    input: Tensor,  # noqa: A002
    running_mean: Maybe,
    running_var: Maybe,
    weight: Maybe = None,
    bias: Maybe = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not training:
        return F.batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if running_mean is not None or running_var is not None:
        raise MetatlError(
            "a batch norm with running moments cannot update them inside a task; run the module as "
            "metatl.Net.of(module), or build the norm with track_running_stats=False"
        )
    y = normalise(input, (0, *range(2, input.dim())), eps)
    return _affine(y, weight, bias, (1, -1, *([1] * (input.dim() - 2))))


def _instance_norm(
    input: Tensor,  # noqa: A002
    running_mean: Maybe = None,
    running_var: Maybe = None,
    weight: Maybe = None,
    bias: Maybe = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    if not use_input_stats or running_mean is not None or running_var is not None:
        raise MetatlError(
            "an instance norm with running moments cannot run inside a task; build it without them"
        )
    y = normalise(input, tuple(range(2, input.dim())), eps)
    return _affine(y, weight, bias, (1, -1, *([1] * (input.dim() - 2))))


def _layer_norm(
    input: Tensor,  # noqa: A002
    normalized_shape: Sequence[int],
    weight: Maybe = None,
    bias: Maybe = None,
    eps: float = 1e-5,
) -> Tensor:
    shape = tuple(normalized_shape)
    y = normalise(input, tuple(range(input.dim() - len(shape), input.dim())), eps)
    return _affine(y, weight, bias, shape)


def _group_norm(
    input: Tensor,  # noqa: A002
    num_groups: int,
    weight: Maybe = None,
    bias: Maybe = None,
    eps: float = 1e-5,
) -> Tensor:
    grouped = input.reshape(input.shape[0], num_groups, -1)
    y = normalise(grouped, (2,), eps).reshape(input.shape)
    return _affine(y, weight, bias, (1, -1, *([1] * (input.dim() - 2))))


def _view(input: Tensor, *shape: Any) -> Tensor:  # noqa: A002
    """Images are channels last in memory here, so what a net views may have to be copied."""
    return input.view(*shape) if isinstance(shape[0], torch.dtype) else input.reshape(*shape)


_ROUTES: dict[Callable[..., Any], Callable[..., Any]] = {
    **STOCK,
    torch.conv2d: _conv2d,
    F.conv2d: _conv2d,
    torch.conv1d: _conv1d,
    F.conv1d: _conv1d,
    F.batch_norm: _batch_norm,
    F.instance_norm: _instance_norm,
    F.layer_norm: _layer_norm,
    F.group_norm: _group_norm,
    Tensor.view: _view,
}


def rerouted() -> Instead:
    """`with rerouted():` around a vmap over tasks; also right, if not faster, without a vmap."""
    return Instead(_ROUTES)
