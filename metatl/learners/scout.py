"""Scouting: how far each weight moves on sub-problems becomes its guide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch

from metatl import tree
from metatl.adapt import Descent, displacement
from metatl.adapt.carried import check_ways
from metatl.data.counter import number
from metatl.data.identity import words_of
from metatl.data.kept_rows import key_of
from metatl.data.shuffled_labels import shuffled_labels
from metatl.data.source import Data, Tasks
from metatl.engines.engine import Engine
from metatl.guides.shape import MinMax, Shape
from metatl.heads import Zeros
from metatl.learners.displacements import Displacements
from metatl.learners.learner import Learner, State
from metatl.net import Net
from metatl.rules import SGD
from metatl.types import Episode, Labels, MetatlError, Metrics, Params, Ragged, Transfer


@dataclass(frozen=True)
class Scout(Learner):
    """Guided Transfer Learning: guide = shape(mean over scouts of d^2), d = adapt(theta, task) - theta.

    Every scout starts from the same carried weights, learns a random class subset of the source classes
    without a guide, and leaves only its displacement behind. A fresh output layer is not carried; its guide
    is 1. With `directions`, E[d], the leading directions U S of d's covariance and its diagonal are carried
    too, as `mean.<weight>`, `directions.<weight>` [k, ...] and `variance.<weight>`, of weights that may move:
    of a net with low-rank additions those of the additions.
    Sources: Nikolic, Andric & Nikolic 2023, arXiv 2303.16154; Li et al. 2023, arXiv 2311.12045.

    Args:
        steps: groups of scouts; all scouts of a group run at once.
        scouts: in a group.
        tasks: shape of a sub-problem: `way` classes of `shot` examples; `query` is not used.
        adaptation: how a scout learns: long, with fresh head.
        moment: mean of the squared displacement (published), or of its absolute value.
        shape: from the statistic to the guide.
        outlier: a scout whose displacement is this many times the median of its group, or not finite, is left
            out and counted: one diverged scout would flatten all guides.
        directions: how many principal directions of the displacements are carried; 0 for the guide alone.
        displacements: folder in which displacements lie by what they depend on, so that groups that are there
            (of a run before, of another process) are not learned again; metatl's cache folder for None.
        labels: `shuffled` among the rows of each sub-problem are a control.
        again: another number for other scouts from the same start, whose weights the run's seed gives.
    """

    steps: int = 4
    scouts: int = 25
    tasks: Tasks = Tasks(4, 10, 0)
    adaptation: Descent = Descent(SGD(0.1, momentum=0.9), 50, Zeros(), batch_size=20, moments="batch")
    moment: Literal["squared", "absolute"] = "squared"
    shape: Shape = MinMax()
    outlier: float = 10.0
    directions: int = 0
    displacements: str | None = None
    labels: Literal["own", "shuffled"] = "own"
    again: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers below 0."""
        super().__post_init__()
        for name in ("directions", "again"):
            if getattr(self, name) < 0:
                raise MetatlError(f"Scout: {name} is {getattr(self, name)}; give 0 or more")

    def outputs(self, data: Data) -> int:
        """What a sub-problem needs."""
        return data.outputs(self.tasks)

    def numbering(self, data: Data) -> Labels:
        """What its tasks' labels stand for."""
        return data.numbering(self.tasks)

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """Sub-problems must be possible."""
        data.check("meta_train", self.tasks)
        check_ways(self.adaptation.carries, self.tasks)
        fresh, body = tree.split(start.params, lambda n: self.adaptation.head.fresh and net.is_head(n))
        self.shape(body, net.head_size(start.params, self.outputs(data)) if fresh else 0)  # as at the end

    def draw(self, data: Data, seed: int, step: int) -> Episode | Ragged:
        """One group of sub-problems of meta_train."""
        seed = number(seed, self.again) if self.again else seed
        drawn = data.draw("meta_train", self.tasks.support_only, seed, step * self.scouts, self.scouts)
        return drawn if self.labels == "own" else shuffled_labels(drawn, number(seed, step))

    def init(self, net: Net, start: Transfer) -> State:
        """Sums of zero, in float32 at least."""
        sums = {
            n: torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32))
            for n, p in start.params.items()
        }
        one = next(iter(sums.values()))
        left_out = torch.zeros(0, dtype=torch.int64, device=one.device)
        counts = {"count": {"scouts": one.new_zeros(())}, "left_out": {"scouts": left_out}}
        kept = {"rounds": {"keys": torch.zeros(0, 32, dtype=torch.uint8)}} if self.directions else {}
        return State(start, 0, {"sum": sums, **counts, **kept})

    def step(self, net: Net, engine: Engine, state: State, drawn: Episode | Ragged) -> tuple[State, Metrics]:
        """One group of scouts: add up their moments."""
        start = replace(state.transfer, guide=net.held(tree.ones(state.transfer.params)))
        learned = partial(self._moves, net, engine, start, drawn)
        moves, rounds = self._kept(learned, state, net, engine, drawn) if self.directions else (learned(), {})
        sizes = torch.stack([tree.lines(leaf).square().sum(1) for leaf in moves.values()]).sum(0).sqrt()
        finite = sizes.isfinite()
        good = finite & (sizes <= self.outlier * sizes[finite].median()) if bool(finite.any()) else finite
        power = torch.square if self.moment == "squared" else torch.abs
        sums = {
            n: s + power(moves[n][good]).sum(0) if n in moves else s for n, s in state.memory["sum"].items()
        }
        count = state.memory["count"]["scouts"] + good.sum()
        metrics = {"displacement_norm": sizes[good].mean(), "scouts_left_out": (~good).sum()}
        memory = {"sum": sums, "count": {"scouts": count}, **rounds}
        before = state.memory.get("left_out")  # checkpoints of the first days have none
        if before is not None:
            now = (~good).nonzero().flatten() + state.step * self.scouts
            memory["left_out"] = {"scouts": torch.cat([before["scouts"], now])}
        return State(state.transfer, state.step + 1, memory), metrics

    def _moves(self, net: Net, engine: Engine, start: Transfer, drawn: Episode | Ragged) -> Params:
        """Displacements of a group of scouts, [scouts, ...] each."""
        net = engine.ready(net)

        free = frozenset(start.params) - net.frozen if net.frozen else None

        def moved(task: Episode) -> Params:
            moves = displacement(net.for_task(task), self.adaptation, start, task.support, free)
            return {name: leaf for name, leaf in moves.items() if name not in net.frozen}

        return engine.map(moved, drawn)

    def _kept(
        self, learned: Callable[[], Params], state: State, net: Net, engine: Engine, drawn: Episode | Ragged
    ) -> tuple[Params, dict[str, Params]]:
        """Displacements as they lie on disk, learned where they do not, and the keys of all groups so far."""
        carried = state.transfer
        moving = [name for name in carried.params if name not in net.frozen]
        of_net = net.additions, net.through, net.head, net.outputs, net.batch_moments, str(net.passes)
        said = [repr(engine), *words_of(net.module, self.adaptation, *of_net), *moving]
        tasks = drawn.parts if isinstance(drawn, Ragged) else drawn
        key = key_of(said, carried.params, carried.buffers, carried.memory, tasks)
        own = torch.tensor(list(key), dtype=torch.uint8)[None]
        keys = torch.cat([state.memory["rounds"]["keys"].cpu(), own])
        return self._disk(net, carried).of_group(key, learned), {"rounds": {"keys": keys}}

    def _disk(self, net: Net, transfer: Transfer) -> Displacements:
        still = self.adaptation.fresh(net, transfer) | net.frozen
        body = {name: leaf for name, leaf in transfer.params.items() if name not in still}
        return Displacements(self.displacements, body)

    def remark(self, state: State) -> str:
        """Which scouts were left out, by their number in the run."""
        numbers: list[int] = state.memory.get("left_out", {"scouts": torch.zeros(0)})["scouts"].tolist()
        if not numbers:
            return ""
        named = ", ".join(map(str, numbers[:10])) + (", ..." if len(numbers) > 10 else "")
        return (
            f"{len(numbers)} of {state.step * self.scouts} scouts left out (number {named}): each moved more "
            f"than {self.outlier:g} times the median of its group, or not finitely; lower their rate if they "
            "are many"
        )

    def finish(self, net: Net, state: State) -> Transfer:
        """The start with its guide."""
        count = state.memory["count"]["scouts"].clamp_min(1.0)
        raw = tree.scale(state.memory["sum"], 1.0 / count)
        fresh, body = tree.split(raw, lambda n: self.adaptation.head.fresh and net.is_head(n))
        # A fresh head is a task's own, with a row for each of its classes, however many the carried one has.
        always = net.head_size(raw, net.outputs) if fresh else 0
        guide = {**self.shape(body, always), **tree.ones(fresh)}
        carried = state.transfer
        new = replace(carried, guide=net.held({n: guide[n] for n in carried.params}))
        if not self.directions:
            return new
        keys, left_out = state.memory["rounds"]["keys"], state.memory["left_out"]["scouts"]
        spread = self._disk(net, carried).memory(keys, left_out, self.directions)
        return replace(new, memory={**carried.memory, **spread})
