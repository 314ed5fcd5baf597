"""A trunk that splits while it is trained, between targets whose gradients disagree."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from metatl import tree
from metatl.aggregates.aggregate import filled, gradients_of
from metatl.engines.engine import Engine
from metatl.learners import State, Supervised
from metatl.net import Net
from metatl.objectives import OfTarget
from metatl.objectives.term import Anchor, Seen
from metatl.types import Batch, Metrics, Params

_ROUTE, _MEMORY = "route", "affinity"


@dataclass(frozen=True)
class Branching(Supervised):
    """Supervised of a `models.BranchingTrunk`, block by block from the last to the first in the first half.

    The affinity of two targets at a block is the mean cosine of their losses' gradients by its weights, over
    the `probes` steps before its turn, those whose rows had both targets. What parts further up are units;
    the two groups of units with the highest mean affinity are merged as long as it is above `threshold`, and
    every group that is left gets a copy of the block with its weights and the rule's memory of them, so that
    a split changes no output. A
    block that stays whole ends it: those before it are shared by all. threshold -1 is hard sharing, 1 splits
    everything. Source: the greedy widening of Lu et al. 2017, arXiv 1611.05377, with gradients for errors.

    Args:
        threshold: mean cosine above which targets stay together, -1 to 1.
        probes: steps whose gradients are compared.
    """

    threshold: float = 0.0
    probes: int = 10

    def step(self, net: Net, engine: Engine, state: State, drawn: dict[str, Batch]) -> tuple[State, Metrics]:
        """A step; in the steps before a block's turn the gradients are compared, and then it may split."""
        memory = dict(state.memory)
        seen = memory.pop(_MEMORY, {})
        depth = state.transfer.buffers[_ROUTE].shape[1]
        block, left = self._turn(state.step, depth)
        whole = 0 <= block < depth - 1 and not state.transfer.buffers[_ROUTE][:, block + 1].any()
        if block >= 0 and not whole and left < self.probes:
            found = self._affinity(net, state, drawn, block)
            told = {"sum": found, "count": (found != 0).to(found)}  # 0: no row of the batch has the target
            seen = {name: seen.get(name, torch.zeros_like(found)) + one for name, one in told.items()}
        state, metrics = super().step(net, engine, replace(state, memory=memory), drawn)
        if seen and left == 0:
            mean = (seen["sum"] / seen["count"].clamp(min=1.0)).numpy()
            return split(state, block, mean, self.threshold), metrics
        return replace(state, memory=state.memory | ({_MEMORY: seen} if seen else {})), metrics

    def _each(self, depth: int) -> int:
        return max(1, self.steps // (2 * depth))

    def _turn(self, step: int, depth: int) -> tuple[int, int]:
        """The block whose turn comes next, below 0 for none, and the steps until then."""
        each = self._each(depth)
        return depth - 1 - step // each, each - 1 - step % each

    def _affinity(self, net: Net, state: State, drawn: dict[str, Batch], block: int) -> Tensor:
        """Cosines [targets, targets] of the gradients by the block's weights, which all targets share."""
        held, begin = state.transfer, f"nets.0.{block}."
        leaves = {n: p.detach().requires_grad_() for n, p in held.params.items() if n.startswith(begin)}
        params = {**held.params, **leaves}
        passes = {name: net.passed(params, held.buffers, batch.x) for name, batch in drawn.items()}
        about = Seen(passes, drawn, Anchor({}, None), {}, 0.0)
        losses = [term.over(params, about) for term in self.terms if isinstance(term, OfTarget)]
        each = gradients_of(losses, leaves)
        flat = torch.cat([tree.lines(filled(each, name, leaf)) for name, leaf in leaves.items()], 1)
        rows = normalize(flat.double(), dim=1)
        return rows @ rows.T


def split(state: State, block: int, affinity: NDArray[np.float64], threshold: float) -> State:
    """The state after a block's turn: groups of targets have copies of it that begin alike."""
    route = state.transfer.buffers[_ROUTE].clone()
    above = route[:, block + 1].tolist() if block + 1 < route.shape[1] else list(range(len(route)))
    units = [[i for i, copy in enumerate(above) if copy == one] for one in dict.fromkeys(above)]
    for group in grouped(units, affinity, threshold):
        route[group, block] = min(group)
    copies = [copy for copy in dict.fromkeys(route[:, block].tolist()) if copy]

    def copied(held: Params) -> Params:
        begin = f"nets.0.{block}."
        own = {name.removeprefix(begin): leaf for name, leaf in held.items() if name.startswith(begin)}
        return held | {f"nets.{c}.{block}.{end}": leaf.clone() for c in copies for end, leaf in own.items()}

    buffers = {**state.transfer.buffers, _ROUTE: route}
    transfer = replace(state.transfer, params=copied(state.transfer.params), buffers=buffers)
    return replace(state, transfer=transfer, memory={role: copied(own) for role, own in state.memory.items()})


def grouped(units: list[list[int]], affinity: NDArray[np.float64], threshold: float) -> list[list[int]]:
    """Groups of targets: those with the highest mean affinity are merged while it is above the threshold."""
    groups = [list(unit) for unit in units]
    while len(groups) > 1:
        pairs = [(i, j) for j in range(len(groups)) for i in range(j)]
        means = [float(affinity[np.ix_(groups[i], groups[j])].mean()) for i, j in pairs]
        best = int(np.argmax(means))
        if not means[best] > threshold:
            break
        i, j = pairs[best]
        groups[i] = sorted(groups[i] + groups.pop(j))
    return groups
