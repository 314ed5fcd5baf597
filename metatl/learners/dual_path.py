"""Deliberated domain bridging: two bridges, two nets, and a student of both."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, cast

from metatl.data import Bridge, CutAcross, MixedUp
from metatl.data.source import Data
from metatl.engines.engine import Engine
from metatl.learners.halves import Halves, learners, shares_of
from metatl.learners.learner import Learner, State
from metatl.learners.named_transfers import Memory, averaged, held, of_rule, rule_in, taken
from metatl.net import Net
from metatl.types import Batch, MetatlError, Metrics, Transfer

Drawn = dict[str, dict[str, Batch]]
_START = "start"


@dataclass(frozen=True)
class DualPath(Learner):
    """Two nets on two bridges to a target without labels, then a student of their average; `rounds` times.

    First half of a round, path i: CE(source) + share CE(mixed, y_S) + (1 - share) q CE(mixed, argmax p_i),
    p_i of its teacher, a moving average of the path's weights and buffers, a = min(1 - 1 / (t + 1), keep).
    Second half: the student, fresh from the start, learns CE(source) + CE(target, argmax (p_1 + p_2)).
    The paths of the next round start from it. DDB for classes, without its prototypes, ClassMix and
    augmentation. Source: Chen et al. 2022, arXiv 2209.07695.

    Args:
        path: how every net steps, by mini-batches (`Supervised`); its steps, terms and streams are
            set here, its schedule runs over every half.
        steps: mini-batches in all; those of the two paths are drawn together.
        bridges: of the two paths, of `batch_size` rows.
        rounds: how often both halves are done.
        keep: most of the teacher that a step keeps.
        threshold: of the sure rows (see `Bridged`).
    """

    path: Learner
    steps: int = 2000
    bridges: tuple[Bridge, Bridge] = (MixedUp(64, 0.5), CutAcross(64, 0.4))
    rounds: int = 2
    keep: float = 0.99
    threshold: float = 0.968

    def __post_init__(self) -> None:
        """Refuse a round of no steps, and a share that is none."""
        if self.rounds < 1 or 0 < self.steps < 2 * self.rounds:
            said = f"{self.rounds} rounds of two halves in {self.steps} steps"
            raise MetatlError(f"DualPath: {said}; give each half 1")
        if not {"batch_size", "terms", "streams"} <= {one.name for one in fields(cast(Any, self.path))}:
            name = type(self.path).__name__
            raise MetatlError(f"DualPath: {name} has no terms over streams; give Supervised")
        if not 0.0 <= self.keep < 1.0:
            raise MetatlError(f"DualPath: keep is {self.keep}; give a share from 0 to below 1")

    def outputs(self, data: Data) -> int:
        """The number of source classes."""
        return self._of(0)["one"].outputs(data)

    def check(self, net: Net, start: Transfer, data: Data) -> None:
        """As pre-training does; every bridge must have a batch's rows."""
        for learner in (*self._of(0).values(), *self._of(1).values()):
            learner.check(net, start, data)
        sizes = {self._size, *(bridge.size for bridge in self.bridges)}
        if len(sizes) > 1:
            raise MetatlError(f"DualPath: batch_size and the bridges' sizes differ ({sorted(sizes)})")

    def draw(self, data: Data, seed: int, step: int) -> Drawn:
        """What each of those learns from that learn in this half, by name."""
        learners = self._of(self._halves.place(step)[0])
        return {name: learner.draw(data, seed, step) for name, learner in learners.items()}

    def init(self, net: Net, start: Transfer) -> State:
        """Both paths at the start, which students start from too."""
        return State(start, 0, {**held(_START, start), **self._begun(net, start)})

    def step(self, net: Net, engine: Engine, state: State, drawn: Drawn) -> tuple[State, Metrics]:
        """A step of both paths, or of the student."""
        half, place, last = self._halves.place(state.step)
        carried, memory, told = state.transfer, dict(state.memory), list[Metrics]()
        for name, learner in self._of(half).items():
            teachers = [name] if half % 2 == 0 else ["one", "two"]
            rows = drawn[name]
            likely = sum(shares_of(net, taken(memory, f"{one}-teacher", carried), rows) for one in teachers)
            bridge = rows["bridge"]
            rows = {**rows, "bridge": bridge._replace(y={**bridge.y, "likely": likely / len(teachers)})}
            own = State(taken(memory, name, carried), place, rule_in(memory, name))
            moved, metrics = learner.step(net, engine, own, rows)
            told.append(metrics)
            memory |= held(name, moved.transfer) | of_rule(name, moved.memory)
            if half % 2 == 0:
                share = min(1.0 - 1.0 / (place + 1), self.keep)
                memory |= averaged(memory, name, moved.transfer, share)
        if half % 2 and last:
            carried = taken(memory, "student", carried)
            memory = {**held(_START, taken(memory, _START, carried)), **self._begun(net, carried)}
        elif last:
            student = taken(memory, _START, carried)
            begun = self._of(half + 1)["student"].init(net, student)
            memory |= held("student", student) | of_rule("student", begun.memory)
        mean = {key: sum(one[key] for one in told) / len(told) for key in told[0]}
        return State(carried, state.step + 1, memory), mean  # pyright: ignore[reportReturnType]

    @property
    def _halves(self) -> Halves:
        return Halves(self.steps, self.rounds)

    @property
    def _size(self) -> int:
        return cast(Any, self.path).batch_size

    def _of(self, half: int) -> dict[str, Any]:
        """Who learns in this half, by name."""
        return learners(self.path, self._halves, self.bridges, self.threshold, half)

    def _begun(self, net: Net, start: Transfer) -> Memory:
        """What both paths hold at the beginning of a round."""
        memory: Memory = {}
        for name, learner in self._of(0).items():
            memory |= held(name, start) | held(f"{name}-teacher", start)
            memory |= of_rule(name, learner.init(net, start).memory)
        return memory
