"""Ways of learning several targets: how nets share, and what makes one gradient of the losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from metatl import aggregates as agg
from metatl.aggregates import Aggregate
from metatl.models import CrossStitch, SharedTrunk
from metatl.objectives import SoftSharing
from metatl.text import near
from metatl.types import MetatlError

SINGLE = "single-task"
"""What every row is compared with: a net for each target, with as many steps and as much choosing."""
RATES = (1e-3, 3e-3, 1e-2)


@dataclass(frozen=True)
class Way:
    """about: one line; net, told: its class and arguments; tried: aggregates, one a run; soft: a penalty.

    Where one stands, three rates are tried with it; where three stand, each at the middle rate: every way has
    three runs to choose from.
    """

    about: str
    tried: Callable[[int], Sequence[Aggregate | None]] = lambda k: (None,)
    net: type[nn.Module] = SharedTrunk
    told: Mapping[str, Any] | None = None
    soft: Literal["distance", "trace_norm"] | None = None

    def runs(self, k: int) -> list[tuple[float, Aggregate | None]]:
        """(rate, aggregate) of each run, for k targets."""
        tried = self.tried(k)
        return [(rate, tried[0]) for rate in RATES] if len(tried) == 1 else [(RATES[1], one) for one in tried]

    def terms(self, k: int) -> tuple[SoftSharing, ...]:
        """What stands beside the targets' losses."""
        if self.soft is None or k < 2:
            return ()
        return (SoftSharing(tuple(f"nets.{i}" for i in range(k)), 1e-3, self.soft),)


def _weights(k: int) -> Sequence[Aggregate]:
    first = (1.0,) + (0.2,) * (k - 1)
    return agg.Mean(), agg.Weighted(first), agg.Weighted(tuple(reversed(first)))


def _one(made: Callable[[], Aggregate]) -> Callable[[int], Sequence[Aggregate]]:
    return lambda k: (made(),)


WAYS: Mapping[str, Way] = {
    SINGLE: Way("a net for each target"),
    "hard-sharing": Way("one trunk, a head a target, the mean of the losses", _one(agg.Mean)),
    "fixed-weights": Way("the mean, or weights 5 : 1 either way, chosen like rates elsewhere", _weights),
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
    "cross-stitch": Way("a net a target, activations mixed behind every block (Misra 2016)", net=CrossStitch),
    "half-shared": Way("only the first block is shared", told={"shared": 1}),
    "soft-sharing": Way("a net a target, held near each other", told={"shared": 0}, soft="distance"),
    "trace-norm": Way("a net a target, with few directions together", told={"shared": 0}, soft="trace_norm"),
}
USUAL = (
    SINGLE,
    "hard-sharing",
    "fixed-weights",
    "uncertainty",
    "random-weights",
    "pcgrad",
    "upgrad",
    "cross-stitch",
)


def chosen(methods: str | None) -> dict[str, Way]:
    """The ways asked for, and the reference; MetatlError with the nearest name for one that is none."""
    said = list(USUAL) if methods is None else [one.strip() for one in methods.split(",")]
    said = [*WAYS] if said == ["all"] else said
    for name in said:
        if name not in WAYS:
            raise MetatlError(f"method {name!r} is none for several targets{near(name, WAYS, len(WAYS))}")
    return {name: way for name, way in WAYS.items() if name in {*said, SINGLE}}
