"""A task's support rows at the door: labels of any whole-number type, checked where they can be read."""

from __future__ import annotations

import torch
from torch import Tensor

from metatl import tree
from metatl.net import Net
from metatl.norm_calls import transformed
from metatl.types import Batch, MetatlError


def at_the_door(net: Net, support: Batch) -> Batch:
    """The rows with int64 labels.

    Raises MetatlError for labels outside 0 .. outputs - 1, and for real targets that are not finite. Under
    vmap, where no value can be read, only the type changes: there the rows come from a sampler.
    """
    if support.weight is not None and _readable(support.weight):
        weight = support.weight
        if not bool((weight >= 0).all() & (weight.sum() > 0) & weight.isfinite().all()):
            raise MetatlError("row weights must be finite and not negative, and one of them above 0")
    labels = isinstance(support.y, Tensor)
    return support._replace(y=tree.apply(lambda y: _target(net, y, labels), support.y))


def _target(net: Net, y: Tensor, alone: bool) -> Tensor:
    if y.is_floating_point():
        if _readable(y) and not bool(torch.isfinite(y).all()):
            raise MetatlError("a target is NaN or infinite; leave its row out")
        return y
    if y.is_complex():
        raise MetatlError("targets are complex numbers; give class labels or real values")
    y = y.long()
    if _readable(y) and y.numel():
        low, high = int(y.min()), int(y.max())
        if low < 0 or (alone and high >= net.outputs):
            raise MetatlError(
                f"labels run from {low} to {high}, but the output layer has {net.outputs} rows: "
                f"labels are 0 to {net.outputs - 1}"
            )
    return y


def _readable(y: Tensor) -> bool:
    return y.is_cpu and not transformed(y)
