"""A task's support rows at the door: labels of any whole-number type, checked where they can be read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, ValuesView
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.net import Net
from metatl.norm_calls import transformed
from metatl.objectives.term import Term
from metatl.types import Batch, MetatlError


def at_the_door(net: Net, support: Batch, terms: tuple[Term, ...] = (), none: bool = False) -> Batch:
    """The rows with int64 labels; rows of booleans (several labels at once) stay booleans.

    Raises MetatlError for labels outside 0 .. outputs - 1, for real targets that are not finite, for those
    that one of the terms cannot take, and for row weights that are all 0, unless `none` allows it. Under
    vmap, where no value can be read, only the type changes: there the rows come from a sampler.
    """
    for name, values in (("x", support.x), ("y", support.y)):
        _check_tensors(name, values)
    if support.weight is not None and _readable(support.weight):
        weight = support.weight
        some = none or bool(weight.sum() > 0)
        if not some or not bool((weight >= 0).all() & weight.isfinite().all()):
            raise MetatlError("row weights must be finite and not negative, and one of them above 0")
    labels = isinstance(support.y, Tensor)
    for y in filter(_readable, tree.leaves(support.y)):
        for term in terms:
            term.check(y)
    return support._replace(y=tree.apply(lambda y: _target(net, y, labels), support.y))


def _check_tensors(name: str, values: Any) -> None:
    """Raise MetatlError for what is no tensor, nor a mapping or sequence of tensors, and for x with gaps."""
    inside = values.values() if isinstance(values, Mapping) else values
    for one in inside if isinstance(inside, tuple | list | ValuesView) else [inside]:
        if isinstance(one, Mapping | tuple | list):
            _check_tensors(name, one)
        elif not isinstance(one, Tensor) and one is not None:
            raise MetatlError(
                f"a batch holds tensors, and {name} is a {type(values).__name__}; give torch.as_tensor of it"
            )
        elif name == "x" and one is not None and not _finite(one):
            raise MetatlError("x holds NaN or infinite values; fill them in, or leave their rows out")


def _finite(x: Tensor) -> bool:
    return not x.is_floating_point() or not _readable(x) or bool(x.isfinite().all())


def check_some(support: Batch, labels: bool = True) -> None:
    """Raise MetatlError for a support set without a row; labels: whether it must have targets."""
    if not any(len(leaf) for leaf in tree.leaves(support.y if labels else support.x)):
        raise MetatlError(f"there is no {'labelled ' if labels else ''}row to learn from; give one or more")


def _target(net: Net, y: Tensor, alone: bool) -> Tensor:
    if y.is_floating_point():
        if _readable(y) and not bool(torch.isfinite(y).all()):
            raise MetatlError("a target is NaN or infinite; leave its row out")
        return y
    if y.is_complex():
        raise MetatlError("targets are complex numbers; give class labels or real values")
    if y.dtype == torch.bool and y.dim() > 1:
        return y
    y = y.long()
    if _readable(y) and y.numel():
        low, high = int(y.min()), int(y.max())
        if alone and not net.outputs:
            raise MetatlError(
                "how many outputs the net has is not known, as no linear layer gives them; make it with an "
                "example, Net.of(module, example=x), or say it, net.with_outputs(3)"
            )
        if low < 0 or (alone and high >= net.outputs):
            raise MetatlError(
                f"labels run from {low} to {high}, but the output layer has {net.outputs} rows: "
                f"labels are 0 to {net.outputs - 1}"
            )
    return y


def in_rounds(support: Batch, batch_size: int | None) -> Batch:
    """The rows in an order of their own: example k of every class, then example k + 1 of every class.

    Within a class the order is that of a hash of the rows, so batches of consecutive rows are balanced, as
    good as drawn, and the same in whatever order the rows came. Without batches (None) there is no order.
    """
    rows = tree.rows(support.x)
    if batch_size is None or batch_size >= rows:
        return support
    held = [leaf.detach().cpu() for leaf in tree.leaves(support)]
    keys = [hashlib.sha256(b"".join(_bytes(leaf[i]) for leaf in held)).digest() for i in range(rows)]
    y = support.y
    labelled = isinstance(y, Tensor) and not y.is_floating_point() and y.dim() == 1
    classes: dict[int, list[int]] = {}
    for row in sorted(range(rows), key=keys.__getitem__):
        classes.setdefault(int(y[row]) if labelled else 0, []).append(row)
    rounds = [(k, label, row) for label in classes for k, row in enumerate(classes[label])]
    order = torch.tensor([row for *_, row in sorted(rounds)], device=tree.first(support.x).device)
    return tree.at(support, order)


def _bytes(row: Tensor) -> bytes:
    return tree.bits(row).numpy().tobytes()


def _readable(y: Tensor) -> bool:
    return y.is_cpu and not transformed(y)
