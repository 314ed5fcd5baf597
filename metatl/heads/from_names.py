"""The output layer that classes' names give."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from metatl.heads.head import Head
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer


@dataclass(frozen=True)
class FromNames(Head):
    """A linear layer W = scale * v, b = 0, with v the unit vectors of the classes' names; no row is read.

    On features of length 1 its output is scale times the cosine of the two, on others a cosine times the
    feature's length, which ranks classes alike. Zero steps from it classify without labels, some steps start
    there. Sources: Yin, Hay & Roth 2019, arXiv 1909.00161; scale of Radford et al. 2021, arXiv 2103.00020,
    and of sentence-transformers.

    Args:
        vectors: [classes, d], as plain values (of `metatl.pretrained.name_vectors`, say).
        scale: one over the softmax's temperature.
    """

    vectors: tuple[tuple[float, ...], ...]
    scale: float = 20.0

    def __post_init__(self) -> None:
        """Lists (from a file) become tuples; raises MetatlError for rows of unequal length."""
        rows = tuple(tuple(float(value) for value in row) for row in self.vectors)
        object.__setattr__(self, "vectors", rows)
        if len({len(row) for row in rows}) != 1:
            raise MetatlError("head FromNames: vectors are rows [classes, d] of one length")

    @staticmethod
    def of(vectors: Tensor, scale: float = 20.0) -> FromNames:
        """The head of vectors [classes, d]."""
        return FromNames(tuple(map(tuple, vectors.detach().tolist())), scale)

    @cached_property
    def _weight(self) -> Tensor:
        return self.scale * torch.tensor(self.vectors, dtype=torch.float64)

    def weights(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Tensor, Tensor]:
        """W [outputs, d] and b [outputs]; MetatlError where the task has other classes, the net other d."""
        carried = transfer.params[net.head_weight]
        wanted = (net.outputs, carried.shape[-1])
        if self._weight.shape != wanted:
            raise MetatlError(
                f"head FromNames has vectors {tuple(self._weight.shape)} and the net wants {wanted}: give a "
                "vector of the net's own for each class"
            )
        weight = self._weight.to(carried)
        return weight, weight.new_zeros(net.outputs)
