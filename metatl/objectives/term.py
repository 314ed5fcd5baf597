"""What a term of an objective is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

from torch import Tensor

from metatl.types import Batch, Params


class Anchor(NamedTuple):
    """The frozen reference of one task: its weights and its outputs (logits) on the rows at hand.

    params: the weights at the start of the task, output layer included; fresh: names of those that are new to
    the task (a fresh output layer); output: [n, outputs], or None when no
    term of the objective asks for it.
    """

    params: Params
    output: Tensor | None
    fresh: frozenset[str] = frozenset()


def mean_over_rows(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of values [n, ...]; with weight [n], sum of weight * (a row's mean) over the sum of weights."""
    if weight is None:
        return values.mean()
    return (values.flatten(1).mean(1) * weight).sum() / weight.sum()


class Term(ABC):
    """One summand of an objective: (params, output, batch, anchor) -> scalar.

    All terms of an objective share one forward pass. What a term needs of the frozen reference is computed
    once per task, not once per step.
    """

    needs_anchor: bool = False
    """Whether it holds on to a task's start, so that it means nothing outside an adaptation."""
    needs_anchor_output: bool = False
    """Whether it asks for the frozen reference's outputs too."""

    @abstractmethod
    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The weighted value, 0-d; differentiable in params and output."""


def total(terms: tuple[Term, ...], params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
    """The objective: the sum of its terms."""
    value = terms[0](params, output, batch, anchor)
    for term in terms[1:]:
        value = value + term(params, output, batch, anchor)
    return value
