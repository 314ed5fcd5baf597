"""FISH from source data."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metatl import tree
from metatl.data.source import Data
from metatl.engines.engine import Engine
from metatl.guides.fisher import FisherKind, fisher
from metatl.guides.shape import Shape, TopK
from metatl.learners.learner import Learner, State, check_classifies
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Batch, Metrics, Moments, Transfer


@dataclass(frozen=True)
class SourceFisher(Learner):
    """guide = shape(Fisher information on source examples): FISH's mask, chosen before any new task is seen.

    The output layer is always trainable, is not ranked, and counts in the budget. Source: Sung, Nair & Raffel
    2021, arXiv 2111.09839.

    Args:
        steps: mini-batches of source examples.
        batch_size: examples in each.
        kind: of Fisher information.
        shape: from information to guide.
        moments: which rows give batch norm its moments; `support` means the same as `batch` here.
        way: rows of the output layer that the tasks will have; it counts in the budget.
    """

    steps: int = 16
    batch_size: int = 64
    kind: FisherKind = "empirical"
    shape: Shape = TopK()
    moments: Moments = "frozen"
    way: int = 5

    def outputs(self, data: Data) -> int:
        """The number of source classes."""
        return max(data.classes("meta_train"), 1)

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """The start must classify the source classes."""
        check_classifies(self, net, start, data)
        _, body = tree.split(start.params, net.is_head)
        self.shape(body, net.head_size(start.params, self.way))  # raises now what it would raise at the end

    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """One mini-batch of meta_train."""
        return data.batch("meta_train", self.batch_size, seed, step)

    def init(self, net: Net, start: Transfer) -> State:
        """Sums of zero."""
        return State(start, 0, {"sum": tree.zeros(start.params)})

    def step(self, net: Net, engine: Engine, state: State, drawn: Batch) -> tuple[State, Metrics]:
        """One mini-batch: add its mean information."""
        carried = state.transfer
        with moments_from(Rows(frozen=self.moments == "frozen")):
            raw = fisher(lambda p: net(p, carried.buffers, drawn.x), carried.params, drawn.y, self.kind)
        sums = tree.map(lambda s, r: s + r.to(s.dtype), state.memory["sum"], raw)
        return State(carried, state.step + 1, {"sum": sums}), {"information": tree.norm(raw)}

    def finish(self, net: Net, state: State) -> Transfer:
        """The start with its guide."""
        carried = state.transfer
        head, body = tree.split(state.memory["sum"], net.is_head)
        # The carried head is replaced by a task's own, so what counts in the budget is a task's output layer.
        guide = {**self.shape(body, net.head_size(carried.params, self.way)), **tree.ones(head)}
        return replace(carried, guide=net.held({n: guide[n] for n in carried.params}))
