"""A net that reads tables, asked under several numberings of their columns and classes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from metatl.weights.shipped import shipped

if TYPE_CHECKING:
    from metatl.models import InContextTransformer


class AskedTable(NamedTuple):
    """Labelled rows near [m, d], y [m], rows far [n, d], and the labelled rows' weights [m]."""

    near: Tensor
    y: Tensor
    far: Tensor
    weight: Tensor | None


def averaged(module: InContextTransformer, asked: AskedTable, classes: int, orders: int) -> Tensor:
    """The log of the mean probability over numberings, [n, classes]."""
    near, labels, far, weight = asked
    found = list[Tensor]()
    for shift, turn in _numberings(orders, far.shape[1], classes):
        y = (labels + turn) % classes
        with torch.no_grad():
            said = module(near.roll(shift, -1), y, far.roll(shift, -1), weight)
        found.append(said[:, :classes].roll(-turn, -1).log_softmax(-1))
    return torch.stack(found).logsumexp(0) - math.log(len(found))


@cache
def opened(name: str) -> InContextTransformer:
    """The net of this card, with its weights; read once."""
    from metatl.models import InContextTransformer  # brings what reads weights

    card, tensors = shipped(name)
    module = InContextTransformer((card["columns"],), card["classes"], **card["model"])
    module.load_state_dict(tensors)
    return module.eval().requires_grad_(False)


def _numberings(orders: int, columns: int, classes: int) -> Iterator[tuple[int, int]]:
    """By how many places columns and classes are turned round."""
    for i in range(orders):
        yield i * columns // orders, i % classes
