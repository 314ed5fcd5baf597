"""Targets that are learned one after the other, with what earlier ones found kept or not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from metatl.engines.engine import Engine
from metatl.learners import State, Supervised
from metatl.learners.learner import OverLearner
from metatl.multitasking.routing import ON
from metatl.net import Net
from metatl.objectives import OfTarget
from metatl.types import Batch, MetatlError, Metrics

_FRESH = "fresh"


@dataclass(frozen=True)
class TargetsInTurn(OverLearner):
    """The learner's steps, shared out among its targets: each has a training of its own after the last.

    In a target's turn its term alone counts, with the learner's schedule from its beginning and a new memory
    of the rule. A plain net is so fine-tuned from target to target, and may forget. `freeze`, of a
    `models.ModuleGrid` under `Routed`: the modules of a target's path and its head stay as they are after
    its turn, for later paths to take, and all others begin anew, which is PathNet's transfer from task to
    task. Source: Fernando et al. 2017, arXiv 1701.08734.

    Args:
        learner: with a term `OfTarget` for each target; what its other terms ask counts in every turn.
        freeze: whether paths stay.
    """

    learner: Supervised  # pyright: ignore[reportIncompatibleVariableOverride]
    freeze: bool = False

    def init(self, net: Net, start: Any) -> State:
        """The learner's, with the weights that begin anew; MetatlError for targets that get no step."""
        if self.steps < len(self._places()):
            raise MetatlError(
                f"TargetsInTurn: {self.steps} steps for {len(self._places())} targets; give each one"
            )
        if self.freeze and ON not in start.buffers:
            raise MetatlError(
                "TargetsInTurn: freeze is of the paths through a ModuleGrid, and this net has none"
            )
        state = self.learner.init(net, start)
        return replace(state, memory=state.memory | ({_FRESH: start.params} if self.freeze else {}))

    def step(self, net: Net, engine: Engine, state: State, drawn: dict[str, Batch]) -> tuple[State, Metrics]:
        """A step of the target whose turn it is."""
        places, memory = self._places(), dict(state.memory)
        each = self.steps // len(places)
        turn = min(state.step // each, len(places) - 1)
        local, steps = state.step - turn * each, self.steps - turn * each if turn + 1 == len(places) else each
        others = {*places} - {places[turn]}
        terms = tuple(term for place, term in enumerate(self.learner.terms) if place not in others)
        learner = replace(self.learner, terms=terms, steps=steps)
        fresh = memory.pop(_FRESH, {})
        transfer = state.transfer
        stays = _of_paths(transfer.buffers[ON][:turn]) if fresh else ()
        if local == 0 and turn:
            begun = {n: p if n.startswith(stays) else fresh.get(n, p) for n, p in transfer.params.items()}
            transfer = replace(transfer, params=begun)
            memory = learner.init(net, transfer).memory
        new, metrics = learner.step(net, engine, State(transfer, local, memory), drawn)
        params = {n: transfer.params[n] if n.startswith(stays) else p for n, p in new.transfer.params.items()}
        held = new.memory | ({_FRESH: fresh} if fresh else {})
        return State(replace(new.transfer, params=params), state.step + 1, held), metrics

    def _places(self) -> list[int]:
        return [place for place, term in enumerate(self.learner.terms) if isinstance(term, OfTarget)]


def _of_paths(on: Tensor) -> tuple[str, ...]:
    """Beginnings of the names of weights on the paths [targets, blocks, modules] of the first targets."""
    modules = [f"nets.{module}.{depth}." for depth, module in on.any(0).nonzero().tolist()]
    return (*modules, *(f"heads.{i}." for i in range(len(on))))
