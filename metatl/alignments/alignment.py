"""What an alignment is: rows of two domains to rows that one learner takes, and the way of further rows."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from metatl.fields import Checked
from metatl.types import Batch


class TwoDomains(NamedTuple):
    """Rows of two domains.

    source: x [n_s, d], y; labelled: rows of the target with y, of which there may be none; unlabelled: rows
    of the target [n_t, d] whose labels nobody reads; paired: rows [k, d] of the source and [k, e] of the
    target, row by row of the same things, where there are any.
    """

    source: Batch
    labelled: Batch
    unlabelled: Tensor
    paired: tuple[Tensor, Tensor] | None = None


class Alignment(Checked, ABC):
    """A way to bring a source to a target."""

    reads: ClassVar[tuple[str, ...]] = ("source", "unlabelled")
    """The streams that it reads beside labelled rows of the target."""
    needs_labels: ClassVar[bool] = False
    """Whether it has no meaning without labelled rows of the target."""
    unlike: ClassVar[bool] = False
    """Whether the domains may have other columns, [n, d] and [m, e]."""

    @abstractmethod
    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """Rows to learn from [n, d'], the source's before labelled ones; and tensors that `target` takes."""

    @abstractmethod
    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """Rows of the target [n, d] where the rows to learn from lie: [n, d']."""

    def told(self, domains: TwoDomains) -> str:
        """What is worth saying of these rows; nothing where there is nothing."""
        return ""


def together(source: Batch, labelled: Batch) -> Batch:
    """The source's rows, then the labelled ones; rows without a weight have weight 1 beside others."""
    weight = None
    if source.weight is not None or labelled.weight is not None:
        weight = torch.cat([weights(source), weights(labelled)])
    return Batch(torch.cat([source.x, labelled.x]), torch.cat([source.y, labelled.y]), weight)


def weights(rows: Batch) -> Tensor:
    """[n] float64: what every row counts."""
    return torch.ones(len(rows.x), dtype=torch.float64) if rows.weight is None else rows.weight.double()
