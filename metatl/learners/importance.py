"""How much each weight matters on the source: what EWC holds weights by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import torch

from metatl import tree
from metatl.data.source import Data, Tasks
from metatl.engines.engine import Engine
from metatl.guides.fisher import FisherKind, fisher
from metatl.heads import Head, Ridge
from metatl.learners.learner import Learner, State
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Episode, Labels, MetatlError, Metrics, Params, Ragged, Transfer


@dataclass(frozen=True)
class Importance(Learner):
    """F_j = mean over source rows of (d log p(y | x) / d theta_j)^2, carried as `importance.<weight>`.

    Each task's output layer is made from its support rows (`head`), and the information is that of its query
    rows, with frozen moments. F is carried over its mean over all weights of the body, so that a penalty
    weighted by it is on the scale of an unweighted one; weights, guide and buffers stay. Sources: Kirkpatrick
    et al. 2017, arXiv 1612.00796; Li, Grandvalet & Davoine 2018, arXiv 1802.01483.

    Args:
        steps: source tasks.
        tasks: their shape.
        head: how a task's output layer is made; one of zeros would hide all of the body.
        kind: of Fisher information.
    """

    steps: int = 40
    tasks: Tasks = Tasks(4, 8, 2)
    head: Head = Ridge()
    kind: FisherKind = "empirical"

    def __post_init__(self) -> None:
        """Refuse a head through which nothing is seen, and tasks without query rows."""
        super().__post_init__()
        if self.head.blind or self.tasks.query < 1:
            raise MetatlError("Importance: its tasks have query rows, its head is not Zeros but Ridge, say")

    def outputs(self, data: Data) -> int:
        """What a task needs."""
        return data.outputs(self.tasks)

    def numbering(self, data: Data) -> Labels | None:
        """What its tasks' labels stand for; no output layer is learned."""
        return data.numbering(self.tasks) if not self.head.fresh else None

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """The tasks must be possible."""
        data.check("meta_train", self.tasks)

    def draw(self, data: Data, seed: int, step: int) -> Episode | Ragged:
        """One task of meta_train."""
        return data.draw("meta_train", self.tasks, seed, step, 1)

    def init(self, net: Net, start: Transfer) -> State:
        """Sums of zero, in float32 at least."""
        body = tree.split(start.params, net.is_head)[1]
        wide = {n: torch.promote_types(p.dtype, torch.float32) for n, p in body.items()}
        sums = {n: torch.zeros_like(p, dtype=wide[n]) for n, p in body.items()}
        return State(start, 0, {"sum": sums})

    def step(self, net: Net, engine: Engine, state: State, drawn: Episode | Ragged) -> tuple[State, Metrics]:
        """One task: add its mean information."""
        carried = state.transfer

        def information(task: Episode) -> Params:
            with moments_from(Rows(frozen=True)):
                params, rows = tree.detach(self.head.init(net, carried, task.support)[0]), task.query
                run = partial(net, buffers=carried.buffers, x=rows.x)
                return fisher(run, params, rows.y, self.kind, rows.weight)

        found = engine.map(information, drawn)
        sums = {n: s + found[n].sum(0).to(s.dtype) for n, s in state.memory["sum"].items()}
        return State(carried, state.step + 1, {"sum": sums}), {"information": tree.norm(found)}

    def finish(self, net: Net, state: State) -> Transfer:
        """The start, with the information of its weights beside it."""
        sums, carried = state.memory["sum"], state.transfer
        mean, own = tree.flat(sums).mean().clamp_min(1e-30), carried.params
        memory = {f"importance.{name}": (leaf / mean).to(own[name]) for name, leaf in sums.items()}
        return replace(carried, memory={**carried.memory, **memory})
