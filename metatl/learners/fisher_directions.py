"""The leading directions of the Fisher information: what scouts' directions are held against."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from metatl import tree
from metatl.data.source import Data
from metatl.engines.engine import Engine
from metatl.learners.directions import in_place, spread
from metatl.learners.learner import Learner, State, check_classifies
from metatl.learners.row_gradients import row_gradients
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Batch, MetatlError, Metrics, Transfer


@dataclass(frozen=True)
class FisherDirections(Learner):
    """The leading eigenvectors of F = mean over source rows of g g', with g = d log p(y | x) / d theta.

    theta is what may move of the body, without the output layer. They are the leading right singular vectors
    of the rows' gradients [rows, weights], exactly, with frozen moments, and are carried as `Scout` carries
    directions, with F's diagonal as `variance` and a mean of 0. A start that carries directions keeps its
    mean and variance, and the new directions are as long as those were: a control of where they point. The
    diagonal is that of `SourceFisher`. Source: the empirical Fisher information as in Sung, Nair & Raffel
    2021, arXiv 2111.09839.

    Args:
        steps: mini-batches of source examples.
        batch_size: examples in each.
        directions: how many are carried.
    """

    steps: int = 16
    batch_size: int = 32
    directions: int = 64

    def __post_init__(self) -> None:
        """Refuse no direction."""
        super().__post_init__()
        if self.directions < 1:
            raise MetatlError(f"FisherDirections: directions is {self.directions}; give 1 or more")

    def outputs(self, data: Data) -> int:
        """The number of source classes."""
        return max(data.classes("meta_train"), 1)

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """The start must classify the source classes."""
        check_classifies(self, net, start, data)

    def draw(self, data: Data, seed: int, step: int) -> Batch:
        """One mini-batch of meta_train."""
        return data.batch("meta_train", self.batch_size, seed, step)

    def init(self, net: Net, start: Transfer) -> State:
        """No gradient yet."""
        body = tree.split(start.params, lambda n: net.is_head(n) or n in net.frozen)[1]
        return State(start, 0, {"gradients": {n: p.new_zeros(0, *p.shape) for n, p in body.items()}})

    def step(self, net: Net, engine: Engine, state: State, drawn: Batch) -> tuple[State, Metrics]:
        """One mini-batch: its rows' gradients."""
        carried, before = state.transfer, state.memory["gradients"]
        with moments_from(Rows(frozen=True)):
            found = row_gradients(net, carried, tuple(before), drawn)
        held = {n: torch.cat([leaf, found[n]]) for n, leaf in before.items()}
        metrics = {"information": sum((g.square().sum() for g in found.values()), torch.zeros(()))}
        return State(carried, state.step + 1, {"gradients": held}), metrics

    def finish(self, net: Net, state: State) -> Transfer:
        """The start, with the directions."""
        held = state.memory["gradients"]
        rows = torch.cat([tree.lines(leaf.double()) for leaf in held.values()], 1).cpu()
        good = torch.ones(len(rows), dtype=torch.bool)
        found = spread(lambda: iter([rows]), good, self.directions, about_zero=True)
        return in_place(state.transfer, found, {n: state.transfer.params[n] for n in held})
