"""Directions that ordinary training goes along: what scouts' directions are held against."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from metatl import tree
from metatl.engines.engine import Engine
from metatl.learners.directions import in_place, spread
from metatl.learners.learner import Learner, OverLearner, State
from metatl.net import Net
from metatl.types import MetatlError, Metrics, Params, Transfer

_START, _BUFFERS, _PATH = "path.start", "path.buffers", "path.snapshots"


@dataclass(frozen=True)
class PathDirections(OverLearner):
    """The principal directions of snapshots of training that goes on from the start, which is carried.

    Weights are looked at every few steps of the learner; their mean displacement, principal directions and
    variance are carried as `Scout` carries those of displacements. A start that carries directions keeps its
    mean and variance, and the new directions are as long as those were: a control, one by one, of where
    they point. Weights that stay have none. Source: SWAG's mean and low rank (Maddox et al. 2019, arXiv
    1902.02476).

    Args:
        learner: what goes on from the start (`Supervised`); SWAG does at a constant rate.
        every: steps between two snapshots.
        directions: how many are carried.
    """

    learner: Learner
    every: int = 4
    directions: int = 64

    def __post_init__(self) -> None:
        """Refuse a path of fewer than two snapshots, and no direction."""
        if self.every < 1 or self.directions < 1 or self.steps < 2 * self.every:
            raise MetatlError(
                f"PathDirections: every and directions are 1 or more, and the learner's steps at least "
                f"twice every; they are {self.every}, {self.directions} and {self.steps}"
            )

    def init(self, net: Net, start: Transfer) -> State:
        """The learner's state, the start, and no snapshot."""
        state = self.learner.init(net, start)
        names = (n for n in start.params if not net.is_head(n) and n not in net.frozen)
        none = {n: start.params[n].new_zeros(0, *start.params[n].shape) for n in names}
        own = {_START: start.params, _BUFFERS: start.buffers, _PATH: none}
        return State(state.transfer, state.step, {**state.memory, **own})

    def step(self, net: Net, engine: Engine, state: State, drawn: Any) -> tuple[State, Metrics]:
        """The learner's step, and a snapshot after every few of them."""
        own = {role: state.memory[role] for role in (_START, _BUFFERS, _PATH)}
        theirs = {role: held for role, held in state.memory.items() if role not in own}
        new, metrics = self.learner.step(net, engine, State(state.transfer, state.step, theirs), drawn)
        if new.step % self.every == 0:
            params = new.transfer.params
            own[_PATH] = {n: torch.cat([held, params[n][None]]) for n, held in own[_PATH].items()}
        return State(new.transfer, new.step, {**new.memory, **own}), metrics

    def finish(self, net: Net, state: State) -> Transfer:
        """The start, with the directions of the path."""
        held, snapshots = state.memory, state.memory[_PATH]
        like: Params = {n: held[_START][n] for n in snapshots}
        carried = replace(state.transfer, params=held[_START], buffers=held[_BUFFERS])
        moves = torch.cat([tree.lines((s - like[n]).double()) for n, s in snapshots.items()], 1)
        good = torch.ones(len(moves), dtype=torch.bool)
        return in_place(carried, spread(lambda: iter([moves.cpu()]), good, self.directions), like)
