"""Paths through modules that are found by contests while the modules are trained."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from metatl.data.counter import number
from metatl.engines.engine import Engine
from metatl.learners import State, Supervised
from metatl.models import ModuleGrid
from metatl.net import Net
from metatl.objectives import OfTarget
from metatl.types import Batch, MetatlError, Metrics, Params

ON, _MEMORY = "on", "paths"
_BEGIN, _PAIR, _MUTATE = 1, 2, 3


@dataclass(frozen=True)
class Routed(Supervised):
    """Supervised of a `models.ModuleGrid`, in which every target finds its path by binary tournaments.

    A path is `active` modules of every block, repeated ones counting once. In a contest two paths of a
    target's population are trained for `every` steps each, one after the other; fitness is the target's mean
    loss on these mini-batches, each taken before its step. The loser becomes a copy of the winner in which
    every gene is moved with probability 1 / (blocks * active) by a whole number from -2 to 2, modulo the
    modules. All targets that have a term contest side by side and share the modules. After `share` of the
    steps the last winner of each target is kept and trained on. population 2 is champion against challenger
    (CTR); more is PathNet's tournament, over several tasks at once; one after the other, with paths that
    stay, is `TargetsInTurn` around it.
    Controls: a grid under Supervised (all modules on), and share 0 (a random path that stays). Sources:
    Fernando et al. 2017, arXiv 1701.08734; Liang, Meyerson & Miikkulainen 2018, arXiv 1803.03745.

    Args:
        active: modules of a block in a path.
        population: paths of each target.
        every: steps for each of a contest's two paths.
        share: of the steps, in which contests are held.
        key: of what is drawn at random.
    """

    active: int = 2
    population: int = 2
    every: int = 5
    share: float = 0.6
    key: int = 0

    def __post_init__(self) -> None:
        """Raise MetatlError for numbers that mean nothing."""
        if self.active < 1 or self.population < 2 or self.every < 1 or not 0 <= self.share <= 1:
            raise MetatlError(
                f"Routed: active is {self.active}, population {self.population}, every {self.every}, share "
                f"{self.share}; give 1, 2 and 1 or more, and a share from 0 to 1"
            )

    def step(self, net: Net, engine: Engine, state: State, drawn: dict[str, Batch]) -> tuple[State, Metrics]:
        """A step on the paths whose turn it is; at a contest's end losers become children of winners."""
        memory = dict(state.memory)
        on = state.transfer.buffers[ON]
        told = [term.target for term in self.terms if isinstance(term, OfTarget)]
        own = [cast(ModuleGrid, net.module).names.index(name) for name in told]
        held = memory.pop(_MEMORY, None) or self._begun(on, own)
        contest, place = divmod(state.step, 2 * self.every)
        open_, second = (contest + 1) * 2 * self.every <= self.share * self.steps, place >= self.every
        pairs = {target: self._pair(contest, target) for target in own}
        turn = [pair[second] for pair in pairs.values()] if open_ else held["best"].tolist()
        paths = held["population"][torch.arange(len(own)), turn]
        buffers = {
            **state.transfer.buffers,
            ON: on.index_copy(0, torch.tensor(own), on_of(paths, on.shape[2])),
        }
        state = replace(state, transfer=replace(state.transfer, buffers=buffers), memory=memory)
        state, metrics = super().step(net, engine, state, drawn)
        if open_:
            losses = torch.stack([metrics[f"loss of {name}"].double() for name in told])
            held = {**held, "losses": held["losses"].clone()}
            held["losses"][:, int(second)] += losses.nan_to_num(nan=torch.inf)
            if place == 2 * self.every - 1:
                held = self._ended(held, pairs, contest, on.shape[2])
        return replace(state, memory=state.memory | {_MEMORY: held}), metrics

    def _begun(self, on: Tensor, own: list[int]) -> Params:
        """What is held of these targets at first: their own of the paths that are drawn for all."""
        targets, blocks, modules = on.shape
        rng = np.random.default_rng(number(self.key, _BEGIN, 0) % 2**63)
        drawn = rng.integers(modules, size=(targets, self.population, blocks, self.active))
        best = torch.zeros(len(own), dtype=torch.int64)
        losses = torch.zeros(len(own), 2, dtype=torch.float64)
        return {"population": torch.from_numpy(drawn[own]), "best": best, "losses": losses}

    def _pair(self, contest: int, target: int) -> list[int]:
        rng = np.random.default_rng([number(self.key, _PAIR, contest) % 2**63, target])
        return [int(one) for one in rng.permutation(self.population)[:2]]

    def _ended(self, held: Params, pairs: dict[int, list[int]], contest: int, modules: int) -> Params:
        """What is held after a contest of these targets; a tie leaves the first of a pair the winner."""
        population, best = held["population"].clone(), held["best"].clone()
        for i, (target, losses) in enumerate(zip(pairs, held["losses"].tolist(), strict=True)):
            pair = pairs[target]
            won = int(losses[1] < losses[0])
            rng = np.random.default_rng([number(self.key, _MUTATE, contest) % 2**63, target])
            population[i, pair[1 - won]] = mutated(population[i, pair[won]], modules, rng)
            best[i] = pair[won]
        return {"population": population, "best": best, "losses": torch.zeros_like(held["losses"])}


def on_of(paths: Tensor, modules: int) -> Tensor:
    """[targets, blocks, modules], true where a path [targets, blocks, active] takes a module."""
    return torch.zeros(*paths.shape[:2], modules, dtype=torch.bool).scatter(2, paths, True)


def mutated(path: Tensor, modules: int, rng: np.random.Generator) -> Tensor:
    """A path [blocks, active] whose genes are moved here and there."""
    moves = rng.integers(-2, 3, size=tuple(path.shape)) * (rng.random(tuple(path.shape)) < 1 / path.numel())
    return (path + torch.from_numpy(moves)) % modules
