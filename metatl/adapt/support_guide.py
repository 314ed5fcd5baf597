"""What a guide from the support set is."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator

from torch import Tensor
from torch.func import grad

from metatl import tree
from metatl.fields import Checked
from metatl.heads import Head, Ridge
from metatl.net import Net
from metatl.objectives.task_loss import nll
from metatl.types import Batch, Guide, Params

Outputs = Callable[..., Tensor]
"""(weights, rows) -> outputs [n, ...] of the net for a Batch of rows; (weights) for all support rows."""


class SupportGuide(Checked, ABC):
    """A guide computed anew for every task from its support set (FISH masks, relative gradient norms)."""

    head: Head = Ridge()
    """Stands in for a blind output layer: behind one of zeros every gradient of the body is 0."""

    @abstractmethod
    def __call__(self, net: Net, params: Params, output: Outputs, support: Batch) -> Guide:
        """The guide, which multiplies the transfer's; `output` gives the support logits for weights."""


def gradients(
    params: Params, output: Outputs, support: Batch, batch_size: int | None, batches: int
) -> Iterator[Params]:
    """d (mean loss) / d params on each of the first batches of rows; on all rows at once for size None."""
    total = tree.rows(support.x)
    size = min(batch_size or total, total)
    for begin in range(0, min(batches * size, total), size):
        rows = support if size == total else tree.at(support, slice(begin, begin + size))

        def loss(weights: Params, rows: Batch = rows) -> Tensor:
            return nll(output(weights, rows), rows.y, rows.weight)

        yield grad(loss)(params)
