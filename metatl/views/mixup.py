"""Rows mixed with one another."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl import tree
from metatl.types import Batch, MetatlError
from metatl.views.view import View, check_alpha, check_unweighted, partner, share_of


@dataclass(frozen=True)
class Mixup(View):
    """x <- lambda x + (1 - lambda) x', y likewise; x' is the batch in another order.

    lambda ~ Beta(alpha, alpha), one a batch.
    Source: Zhang, Cisse, Dauphin & Lopez-Paz 2018, arXiv 1710.09412.

    Args:
        alpha: of the Beta distribution.
        probability: that a batch is mixed.
    """

    alpha: float = 0.2
    probability: float = 1.0
    soft = True

    def __post_init__(self) -> None:
        """Refuse an alpha that is not above 0."""
        super().__post_init__()
        check_alpha(self, self.alpha)

    def __call__(self, key: int, batch: Batch) -> Batch:
        """The mixed rows; raises MetatlError for whole numbers (token ids), and for rows with weights."""
        share = share_of(key, self.alpha, self.probability)
        if share == 1.0:
            return batch
        check_unweighted(self, batch)
        if not all(leaf.is_floating_point() for leaf in tree.leaves((batch.x, batch.y))):
            raise MetatlError("Mixup mixes real values; these rows hold whole numbers (token ids, say)")
        first = tree.first(batch.x)
        other = partner(key, len(first), first.device)

        def mixed(leaf: Tensor) -> Tensor:
            return share * leaf + (1.0 - share) * leaf[other]

        return tree.apply(mixed, batch)
