"""What a guide from the support set is."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor

from metatl.heads import Head, Ridge
from metatl.net import Net
from metatl.types import Batch, Guide, Params


class SupportGuide(ABC):
    """A guide computed anew for every task from its support set (FISH masks, relative gradient norms)."""

    head: Head = Ridge()
    """Stands in for a blind output layer: behind one of zeros every gradient of the body is 0."""

    @abstractmethod
    def __call__(self, net: Net, params: Params, output: Callable[[Params], Tensor], support: Batch) -> Guide:
        """The guide, which multiplies the transfer's; `output` gives the support logits for weights."""
