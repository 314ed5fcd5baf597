"""Losses of single rows, as the terms take them: what a target is, and how it lies beside the outputs.

    y int64 [n], [n, ...]    class labels, one a row or a pixel, beside outputs [n, classes, ...]
    y bool [n, labels]       several labels at once, each yes or no, beside outputs [n, labels]
    y float [n], [n, d]      real values, beside outputs [n, d]

Everything is written out in operations that batch over tasks and differentiate twice.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.data.targets import SAID, Kind
from metatl.types import MetatlError


def target_of(y: Tensor) -> Kind:
    """What targets are by their type: bool [n, k], floats [n] or [n, d], else class labels [n]."""
    if y.dtype == torch.bool:
        return "labels"
    return "real" if y.is_floating_point() else "classes"


def needs(term: object, y: Any, *kinds: Kind) -> None:
    """Raise MetatlError where a term's targets are none of these kinds."""
    name = type(term).__name__
    if not isinstance(y, Tensor):
        raise MetatlError(f"{name} takes one target, and there are several by name; TaskLoss takes those")
    if (kind := target_of(y)) not in kinds:
        raise MetatlError(
            f"{name} needs {' or '.join(map(SAID.__getitem__, kinds))}; these targets are {SAID[kind]}"
        )


def check_factors(term: object, name: str, given: Sequence[float]) -> None:
    """Raise MetatlError for factors that are negative or not finite, or all 0."""
    if given and not (all(0.0 <= one < math.inf for one in given) and any(given)):
        raise MetatlError(f"{type(term).__name__}: {name} is {list(given)}; give finite numbers, 0 or more")


def factors(term: object, name: str, given: Sequence[float], like: Tensor, count: int) -> Tensor:
    """Factors as a tensor [count]; raises MetatlError for another number of them."""
    if len(given) != count:
        raise MetatlError(f"{type(term).__name__}: {name} has {len(given)} numbers, and there are {count}")
    return torch.tensor(given, dtype=like.dtype, device=like.device)


def class_axis(output: Tensor, y: Tensor) -> int:
    """The axis of the classes in outputs, which is torch's: that after the rows.

    output [n, classes, ...] beside y [n, ...]; a single row's [classes] beside a label []. Raises MetatlError
    for labels that do not pair.
    """
    axis = min(1, y.dim())
    if output.dim() != y.dim() + 1 or output.shape[:axis] + output.shape[axis + 1 :] != y.shape:
        raise MetatlError(
            f"labels of shape {list(y.shape)} do not pair with outputs of shape {list(output.shape)}; "
            "outputs are [n, classes] beside labels [n], [n, classes, h, w] beside a label a pixel [n, h, w]"
        )
    return axis


def is_class(output: Tensor, y: Tensor) -> Tensor:
    """Whether a row (or place) is of a class, [n, classes, ...] bool: the one-hot rows.

    F.one_hot reads the labels' values, which a batch of tasks cannot.
    """
    axis = class_axis(output, y)
    classes = torch.arange(output.shape[axis], device=y.device)
    return y.unsqueeze(axis) == classes.view(-1, *[1] * (output.dim() - axis - 1))


def of_label(values: Tensor, y: Tensor) -> Tensor:
    """Of values [n, classes, ...] those of the labels, [n, 1, ...]."""
    axis = class_axis(values, y)
    return values.gather(axis, y.unsqueeze(axis))


def cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    """-log softmax(output)_y of class labels, [n, 1, ...]."""
    # Gathering from log-softmax is what cross_entropy does; written out, it batches over tasks at any order.
    return of_label(-output.log_softmax(class_axis(output, y)), y)


def binary_cross_entropy(output: Tensor, y: Tensor) -> Tensor:
    """log(1 + exp(output)) - y output: -log sigmoid(output) where y is 1, -log(1 - sigmoid) where 0; [n, k].

    y bool, or the probability of 1. Raises MetatlError for shapes that differ.
    """
    return F.softplus(output) - paired(output, y).to(output.dtype) * output


def entropy(output: Tensor) -> Tensor:
    """-sum over classes of p log p, p = softmax(output), of outputs [n, classes]; [n]."""
    log_p = output.log_softmax(-1)
    return -(log_p.exp() * log_p).sum(-1)


def squared_error(output: Tensor, y: Tensor) -> Tensor:
    """(output - y)^2, [n, d]."""
    return (output - paired(output, y)).square()


def paired(output: Tensor, y: Tensor) -> Tensor:
    """Targets in the shape of the outputs: [n] beside [n, 1] are n pairs, never n times n.

    Raises MetatlError for any other shape than the outputs'.
    """
    if y.dim() == output.dim() - 1 and output.shape[-1] == 1:
        y = y.unsqueeze(-1)
    if y.shape != output.shape:
        raise MetatlError(
            f"targets of shape {list(y.shape)} do not pair with outputs of shape {list(output.shape)}; give "
            "one target for each output"
        )
    return y
