"""Ways of learning several targets: how nets share, and what makes one gradient of the losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import nn

from metatl import aggregates as agg
from metatl.aggregates import Aggregate
from metatl.learners import Supervised
from metatl.learners.learner import Learner
from metatl.models import BranchingTrunk, CoupledNets, CrossStitch, MaskedTrunk, ModuleGrid, SharedTrunk
from metatl.multitasking.branching import Branching
from metatl.multitasking.in_turn import TargetsInTurn
from metatl.multitasking.routing import Routed
from metatl.objectives import SoftSharing

SINGLE = "single-task"
"""What every row is compared with: a net for each target, with as many steps and as much choosing."""
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
"""Every way has as many runs to choose from."""


Tried = tuple[float, Aggregate | None]
"""What one run has: the rate, and what makes one gradient of the losses."""


@dataclass(frozen=True)
class Way:
    """about: one line; made: the aggregate, of (targets, steps); net, told, learner: how nets are made.

    each: whether there is a net for each target, which alone is judged, with `helpers` beside it or without;
    weighed: whether weights are chosen too; soft: a penalty.
    """

    about: str
    made: Callable[[int, int], Aggregate | None] = lambda k, steps: None
    net: type[nn.Module] = SharedTrunk
    told: Mapping[str, Any] | None = None
    learner: Callable[..., Learner] = Supervised
    soft: Literal["distance", "trace_norm"] | None = None
    each: bool = False
    helpers: bool = False
    weighed: bool = False

    def groups(self, targets: Sequence[str]) -> list[list[str]]:
        """The targets of each net; of a net with helpers, the one that is judged stands first."""
        if not self.each:
            return [list(targets)]
        others = [[one for one in targets if one != main] if self.helpers else [] for main in targets]
        return [[main, *rest] for main, rest in zip(targets, others, strict=True)]

    def runs(self, k: int, steps: int = 1, floors: Sequence[float] | None = None) -> list[Tried]:
        """(rate, aggregate) of each run, for k targets whose best constants have these losses.

        Five rates; where weights are chosen too, three as far apart, with all losses in shares of a
        constant's, and `further` two.
        """
        if not self.weighed:
            return [(rate, self.made(k, steps)) for rate in RATES]
        return [(rate, agg.Weighted(_shares(k, floors))) for rate in RATES[::2]]

    def further(self, k: int, rate: float, floors: Sequence[float] | None = None) -> list[Tried]:
        """What is tried at the best rate: the first loss five times as heavy, then the others."""
        if not self.weighed:
            return []
        heavy = ((5.0,) + (1.0,) * (k - 1), (1.0,) + (5.0,) * (k - 1))
        even = _shares(k, floors)
        made = (tuple(b * h for b, h in zip(even, one, strict=True)) for one in heavy)
        return [(rate, agg.Weighted(one)) for one in made]

    def terms(self, k: int) -> tuple[SoftSharing, ...]:
        """What stands beside the targets' losses."""
        if self.soft is None or k < 2:
            return ()
        return (SoftSharing(tuple(f"nets.{i}" for i in range(k)), 1e-3, self.soft),)


def _shares(k: int, floors: Sequence[float] | None) -> tuple[float, ...]:
    return tuple(1.0 / one for one in ([1.0] * k if floors is None else floors))


def _in_turn(made: Callable[..., Supervised], freeze: bool = False) -> Callable[..., Learner]:
    return lambda *values, **named: TargetsInTurn(made(*values, **named), freeze)


def _one(made: Callable[[], Aggregate]) -> Callable[[int, int], Aggregate]:
    return lambda k, steps: made()


WAYS: Mapping[str, Way] = {
    SINGLE: Way("a net for each target", each=True),
    "hard-sharing": Way("one trunk, a head a target, the mean of the losses", _one(agg.Mean)),
    "fixed-weights": Way("losses in shares of a constant's, weights even or 5 : 1 either way", weighed=True),
    "uncertainty": Way("weights by learned noise (Kendall 2018)", _one(agg.Uncertainty)),
    "dwa": Way("slow losses weigh more (Liu 2019)", _one(agg.DWA)),
    "grad-norm": Way("slow losses get the longer gradients (Chen 2018)", _one(agg.GradNorm)),
    "random-weights": Way("weights drawn anew every step (Lin 2022)", _one(agg.RandomWeights)),
    "imtl-l": Way("all weighted losses go towards 1 (Liu 2021)", _one(agg.IMTLL)),
    "pcgrad": Way("conflicts projected away (Yu 2020)", _one(agg.PCGrad)),
    "mgda": Way("the shortest vector of the hull (Sener 2018)", _one(agg.MGDA)),
    "cagrad": Way("near the mean, the worst task helped most (Liu 2021)", _one(agg.CAGrad)),
    "imtl-g": Way("equal shadows on all gradients (Liu 2021)", _one(agg.IMTLG)),
    "aligned-mtl": Way("gradients made orthogonal and equally long (Senushkin 2023)", _one(agg.AlignedMTL)),
    "upgrad": Way("no loss rises to first order (Quinton 2024)", _one(agg.UPGrad)),
    "nash-mtl": Way("a bargain of the tasks (Navon 2022)", _one(agg.NashMTL)),
    "cross-stitch": Way("a net a target, activations mixed after every block (Misra 2016)", net=CrossStitch),
    "coupled": Way("a net a target, all channels mixed after every block (Gao 2019)", net=CoupledNets),
    "task-masks": Way("one trunk, of which a target sees its own channels (Strezoski 2019)", net=MaskedTrunk),
    "half-shared": Way("only the first block is shared", told={"shared": 1}),
    "branching": Way(
        "one trunk that splits, from the last block on, where gradients disagree (after Lu 2017)",
        _one(agg.Mean),
        BranchingTrunk,
        learner=Branching,
    ),
    "all-modules": Way("four modules a block, all on: the control of paths", _one(agg.Mean), ModuleGrid),
    "random-paths": Way(
        "two of four modules a block, a path a target that stays as it is drawn: the control of contests",
        _one(agg.Mean),
        ModuleGrid,
        learner=partial(Routed, share=0.0),
    ),
    "champion-paths": Way(
        "a path a target, champion against challenger (after CTR, Liang 2018)",
        _one(agg.Mean),
        ModuleGrid,
        learner=Routed,
    ),
    "tournament-paths": Way(
        "a path a target, by tournaments among eight (after PathNet, Fernando 2017)",
        _one(agg.Mean),
        ModuleGrid,
        learner=partial(Routed, population=8),
    ),
    "in-turn": Way(
        "one trunk, trained on one target after the other: fine-tuning, the control of frozen paths",
        _one(agg.Mean),
        learner=_in_turn(Supervised),
    ),
    "frozen-paths": Way(
        "one target after the other by tournaments, paths stay for later ones (PathNet, Fernando 2017)",
        _one(agg.Mean),
        ModuleGrid,
        learner=_in_turn(partial(Routed, population=8), freeze=True),
    ),
    "frozen-random-paths": Way(
        "one target after the other, paths as they are drawn, which stay: the control of tournaments",
        _one(agg.Mean),
        ModuleGrid,
        learner=_in_turn(partial(Routed, share=0.0), freeze=True),
    ),
    "soft-sharing": Way("a net a target, held near each other", told={"shared": 0}, soft="distance"),
    "falling-helpers": Way(
        "a net for each target; the others help it, with a weight that falls to 0",
        lambda k, steps: agg.FallingHelpers(steps),
        each=True,
        helpers=True,
    ),
    "gated-helpers": Way(
        "a net for each target; a helper's gradient counts where its cosine is above 0 (Du 2018)",
        _one(agg.HelperGate),
        each=True,
        helpers=True,
    ),
    "trace-norm": Way("a net a target, with few directions together", told={"shared": 0}, soft="trace_norm"),
}
