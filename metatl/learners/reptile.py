"""Reptile."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metatl import tree
from metatl.adapt import Descent, displacement_and_memory
from metatl.adapt.carried import check_ways
from metatl.data.source import Data, Tasks
from metatl.engines.engine import Engine
from metatl.learners.learner import Learner, State
from metatl.net import Net
from metatl.rules import CarriedAdam
from metatl.rules.schedule import Named, Schedule, size_at
from metatl.types import Episode, Labels, MetatlError, Metrics, Params, Ragged, Transfer


@dataclass(frozen=True)
class Reptile(Learner):
    """theta <- theta + rate * mean over tasks of (adapt(theta, task) - theta).

    What the inner rule leaves to other tasks is their mean too: as published, inner Adam has no first moment
    and its second goes on from task to task (`CarriedAdam`), and the rate falls linearly.
    Source: Nichol, Achiam & Schulman 2018, arXiv 1803.02999.

    Args:
        steps: outer steps.
        meta_batch: tasks per outer step.
        tasks: shape of the training tasks; `query` is not used.
        adaptation: the inner loop; a published one has batches smaller than the support set.
        rate: epsilon, before its schedule.
        schedule: of the rate.
    """

    steps: int = 1000
    meta_batch: int = 5
    tasks: Tasks = Tasks(5, 10, 0)
    adaptation: Descent = Descent(CarriedAdam(1e-3), 5, batch_size=10, moments="batch")
    rate: float = 1.0
    schedule: Named | Schedule = "linear"

    def outputs(self, data: Data) -> int:
        """What an episode needs."""
        return data.outputs(self.tasks)

    def numbering(self, data: Data) -> Labels:
        """What its tasks' labels stand for."""
        return data.numbering(self.tasks)

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """Episodes must be possible and the carried output layer must fit them."""
        data.check("meta_train", self.tasks)
        check_ways(self.adaptation.carries, self.tasks)
        rows = net.rows(start.params)
        if not self.adaptation.head.fresh and rows != self.outputs(data):
            said = f"the start's output layer has {rows} rows but the episodes need {self.outputs(data)}"
            raise MetatlError(f"{said}; choose a fresh head (Zeros, Prototypes) or another start")

    def draw(self, data: Data, seed: int, step: int) -> Episode | Ragged:
        """One meta-batch of meta_train, support rows only."""
        return data.draw("meta_train", self.tasks.support_only, seed, step * self.meta_batch, self.meta_batch)

    def init(self, net: Net, start: Transfer) -> State:
        """The start, with what its rule goes on from."""
        fresh = self.adaptation.fresh(net, start)
        kept = {name: leaf for name, leaf in start.params.items() if name not in fresh}
        rule = self.adaptation.rule
        memory = rule.carried(rule.resume(kept, start.memory))
        return State(replace(start, memory={**start.memory, **memory}), 0, {})

    def capturable(self, step: int) -> bool:
        """Every step is alike, unless tasks differ in shape."""
        return not self.tasks.varied

    def step(self, net: Net, engine: Engine, state: State, drawn: Episode | Ragged) -> tuple[State, Metrics]:
        """One meta-batch."""
        carried = state.transfer
        net = engine.ready(net)

        def one(task: Episode) -> tuple[Params, Params]:
            return displacement_and_memory(net.for_task(task), self.adaptation, carried, task.support)

        moves, left = engine.map(one, drawn)
        mean = tree.mean(moves)
        size = self.rate * size_at(self.schedule, state.step, self.steps)
        params = {n: p + size * mean[n] if n in mean else p for n, p in carried.params.items()}
        new = replace(carried, params=params, memory={**carried.memory, **tree.mean(left)})
        return State(new, state.step + 1, {}), {"displacement_norm": tree.norm(mean)}
