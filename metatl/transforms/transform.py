"""What a transform is: (net, transfer) -> (net, transfer), before anything is learned."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from metatl.net import Net
from metatl.types import Transfer


class Transform(ABC):
    """A change of what is carried: weights that are added, replaced, quantised or tied.

    Learners, adaptations and engines see the new pair and know nothing of the change. What a transform adds
    is the identity at its start, so that a net gives the same outputs before and after.
    """

    @abstractmethod
    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The new net and what it carries; raises MetatlError where the net gives it nothing to act on."""

    @abstractmethod
    def merge(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The pair without what was added, the same function: the inverse once something was learned."""


def transformed(transforms: Iterable[Transform], net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
    """One transform after the other."""
    for transform in transforms:
        net, transfer = transform(net, transfer)
    return net, transfer
