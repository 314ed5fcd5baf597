"""Where features of the source lie: what centroids of few rows are centred by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from metatl.data.source import Data
from metatl.engines.engine import Engine
from metatl.learners.learner import Learner, State
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Batch, Labels, MetatlError, Metrics, Transfer


@dataclass(frozen=True)
class SourceMean(Learner):
    """The mean feature of source rows [d], carried as `prior.centre`; weights, guide and buffers stay.

    `NearestCentroid(centred=True)` takes it off in place of the mean of its support rows, of which one a
    class says little: CL2N as published (SimpleShot, Wang et al. 2019, arXiv 1911.04623). Frozen moments.

    Args:
        steps: mini-batches of source examples.
        batch_size: examples in each.
    """

    steps: int = 20
    batch_size: int = 128

    def __post_init__(self) -> None:
        """Refuse a mean of nothing."""
        super().__post_init__()
        if self.steps < 1 or self.batch_size < 1:
            raise MetatlError("SourceMean: steps and batch_size are 1 or more")

    def outputs(self, data: Data) -> int:
        """The number of source classes (a task's own layer replaces it anyway)."""
        return max(data.classes("meta_train"), 1)

    def numbering(self, data: Data) -> Labels | None:
        """Nothing of an output layer is learned."""
        return None

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """The net needs features."""
        if net.head is None:
            raise MetatlError("SourceMean needs a net with a linear output layer; name one (head)")

    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """One mini-batch of meta_train."""
        return data.batch("meta_train", self.batch_size, seed, step)

    def init(self, net: Net, start: Transfer) -> State:
        """A sum of zero."""
        like = net.head_like(start.params)
        return State(start, 0, {"sum": {"centre": like.new_zeros(like.shape[1])}})

    def step(self, net: Net, engine: Engine, state: State, drawn: Batch) -> tuple[State, Metrics]:
        """One mini-batch: add its mean feature."""
        carried = state.transfer
        with torch.no_grad(), moments_from(Rows(frozen=True)):
            mean = net.features(carried.params, carried.buffers, drawn.x).mean(0)
        total = state.memory["sum"]["centre"] + mean
        return State(carried, state.step + 1, {"sum": {"centre": total}}), {"length": mean.norm()}

    def finish(self, net: Net, state: State) -> Transfer:
        """The start, with the mean beside it."""
        carried = state.transfer
        centre = state.memory["sum"]["centre"] / self.steps
        return replace(carried, memory={**carried.memory, "prior.centre": centre})
