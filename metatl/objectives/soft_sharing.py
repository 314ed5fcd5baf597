"""Soft sharing: nets of several tasks that are held together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any, Literal

import torch
from torch import Tensor

from metatl.objectives.term import Anchor, Term
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class SoftSharing(Term):
    """weight * a penalty on how the weights of several nets differ, over the weights that all of them have.

    form `distance`: sum over pairs of nets of |W_a - W_b|^2; `trace_norm`: sum over weights of the
    singular values
    of the matrix whose rows are the nets' W, so that they share directions. Sources: Duong et al. 2015;
    Yang & Hospedales 2017, arXiv 1606.04038.

    Args:
        nets: what the names of each net's weights begin with, `nets.points` and `nets.size` say.
        weight: factor, 0 or more.
        form: of the penalty.
    """

    nets: tuple[str, ...]
    weight: float = 1e-3
    form: Literal["distance", "trace_norm"] = "distance"

    def __post_init__(self) -> None:
        """Raise MetatlError for a weight below 0, and for fewer nets than two."""
        if not self.weight >= 0 or len(self.nets) < 2:
            raise MetatlError(
                f"SoftSharing: weight is {self.weight}, nets {list(self.nets)}; give 0 or more, and two "
                "nets or more"
            )

    def __call__(self, params: Params, output: Any, batch: Batch, anchor: Anchor) -> Tensor:
        """The penalty; raises MetatlError where the nets have no weight in common."""
        groups = self._groups(params)
        if not groups:
            raise MetatlError(
                f"SoftSharing: the nets {list(self.nets)} have no weights of one name and shape"
            )
        if self.form == "distance":
            found = [(a - b).square().sum() for own in groups for a, b in combinations(own, 2)]
        else:
            found = [torch.linalg.svdvals(torch.stack([w.flatten() for w in own])).sum() for own in groups]
        return self.weight * torch.stack(found).sum()

    def _groups(self, params: Params) -> list[list[Tensor]]:
        """What all nets have by one name and shape."""
        first = f"{self.nets[0]}."
        ends = [name.removeprefix(first) for name in params if name.startswith(first)]
        named = [[params.get(f"{net}.{end}") for net in self.nets] for end in ends]
        held = [[leaf for leaf in own if leaf is not None] for own in named]
        return [own for own in held if len(own) == len(self.nets) and len({leaf.shape for leaf in own}) == 1]
