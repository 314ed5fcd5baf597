"""The rows of the study of schools: six runs each, from which the rows that choose take one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from school_nets import KLOfValues, OfSchool, Schools, hard, soft
from torch import Tensor

from metatl.adapt import Adaptation, ClosedForm, Descent
from metatl.adapt.solvers import BayesianLinear
from metatl.data import LabelledRows, Tasks
from metatl.engines import Batched, Loop
from metatl.learners import Episodic, Supervised
from metatl.models import MLP
from metatl.net import Net
from metatl.objectives import L2SP, GaussianNLL, Quantile, TaskLoss, quantiles
from metatl.objectives.term import Term
from metatl.rules import SGD, Adam
from metatl.train import train
from metatl.types import Episode, Transfer

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
TUNED = (*itertools.product((0.01, 0.1), (5, 20, 80)),)
"""Rate and steps of what adapts to a school from rows of its own."""
STRENGTHS = 40, (0.03, 0.1)
"""Steps and rates of what is held near the pooled net; three strengths each."""
EPISODES = Tasks(way=1, shot=10, query=8)


@dataclass(frozen=True)
class Run:
    """said: what was tried; of: a part -> outputs [n, 1 or quantiles] of its rows, variances [n, 1]."""

    said: str
    of: Callable[[str], tuple[Tensor, Tensor | None]]


def net_of(data: Schools, outputs: int, seed: int) -> Net:
    """The net that rows have in common, before anything is learned."""
    torch.manual_seed(seed)
    return Net.of(MLP((data.width,), outputs, (32,)))


def learned(net: Net, data: Schools, steps: int, rate: float, seed: int, terms: tuple[Term, ...]) -> Transfer:
    """A net on the rows of all schools."""
    streams: Any = {"source": LabelledRows("meta_train", 128)}
    learner = Supervised(steps, 128, Adam(rate), terms, streams=streams)
    return train(learner, net, Loop(), learner.init(net, net.start()), data, seed).transfer


def over_schools(net: Net, data: Schools, steps: int, way: Adaptation, seed: int, **given: Any) -> Transfer:
    """A net that was learned through the adaptation to one school after another."""
    learner = Episodic(steps, 16, EPISODES, way, **given)
    return train(learner, net, Batched(), learner.init(net, net.start()), data, seed).transfer


def plain(data: Schools, net: Net, given: Transfer, levels: bool, part: str) -> tuple[Tensor, None]:
    """Outputs of a net that adapts to nobody."""
    with torch.no_grad():
        output: Tensor = net(given.params, given.buffers, data.x[torch.from_numpy(data.of[part])]).double()
    return quantiles(output) if levels else output, None


def adapted(data: Schools, net: Net, start: Transfer, way: Adaptation, part: str) -> tuple[Tensor, Any]:
    """Outputs of a net that was adapted to each school, with variances where the adaptation says some."""
    engine = Loop() if way.spreads or not way.batched else Batched()
    fast = engine.ready(net)
    rows = torch.full((len(data.of[part]), 1 + way.spreads), torch.nan, dtype=torch.float64)

    def one(episode: Episode) -> Tensor:
        if not way.spreads:
            return way.answer(fast, start, episode)
        said = way.predictive(net, start, episode)
        return torch.cat([said.mean, said.sure()], 1)

    with torch.no_grad():
        for schools in data.sized():
            found = engine.map(one, data.episodes(schools, part))
            for school, said in zip(schools, found, strict=True):
                at = torch.from_numpy(data.places(part, school))
                rows[at] = said[: len(at)].double()
    return rows[:, :1], rows[:, 1:] if way.spreads else None


def pooled(data: Schools, seed: int, steps: int, levels: tuple[float, ...] = ()) -> Iterator[Run]:
    """One net for all, which does not know the school; with levels their quantiles."""
    net = net_of(data, len(levels) or 1, seed)
    terms: tuple[Term, ...] = (Quantile(levels),) if levels else (TaskLoss(),)
    for rate in RATES:
        given = learned(net, data, steps, rate, seed, terms)
        yield Run(f"rate {rate:g}", partial(plain, data, net, given, bool(levels)))


def hard_sharing(data: Schools, seed: int, steps: int) -> Iterator[Run]:
    """A trunk for all, an output layer for each school."""
    net, named = hard(data.width, data.count, seed), data.named()
    for rate in RATES:
        given = learned(net, named, steps, rate, seed, (TaskLoss(),))
        yield Run(f"rate {rate:g}", partial(plain, named, net, given, False))


def soft_sharing(data: Schools, seed: int, steps: int) -> Iterator[Run]:
    """A net for each school, held near what all share."""
    net, named = soft(data.width, data.count, seed), data.named()
    for rate, weight in itertools.product((3e-3, 1e-2), (1e-4, 1e-3, 1e-2)):
        given = learned(net, named, steps, rate, seed, (TaskLoss(), OfSchool(weight)))
        yield Run(f"rate {rate:g}, weight {weight:g}", partial(plain, named, net, given, False))


def _adapting(data: Schools, net: Net, start: Transfer) -> Iterator[Run]:
    for rate, count in TUNED:
        way = Descent(SGD(rate), count)
        yield Run(f"rate {rate:g}, {count} steps", partial(adapted, data, net, start, way))


def independent(data: Schools, seed: int, steps: int) -> Iterator[Run]:
    """A net for each school, from the same random weights."""
    net = net_of(data, 1, seed)
    yield from _adapting(data, net, net.start())


def maml(data: Schools, seed: int, steps: int) -> Iterator[Run]:
    """From where five steps on ten pupils do best."""
    net = net_of(data, 1, seed)
    yield from _adapting(data, net, over_schools(net, data, steps, Descent(SGD(0.03), 5), seed))


def fine_tuning(data: Schools, seed: int, steps: int) -> Iterator[Run]:
    """From the pooled net: the control of anchors and of MAML."""
    net = net_of(data, 1, seed)
    yield from _adapting(data, net, learned(net, data, steps, 3e-3, seed, (TaskLoss(),)))


def anchored(
    data: Schools,
    seed: int,
    steps: int,
    of: Callable[[float], tuple[Term, ...]],
    strengths: tuple[float, ...],
) -> Iterator[Run]:
    """From the pooled net, held near it."""
    net, (count, rates) = net_of(data, 1, seed), STRENGTHS
    start = learned(net, data, steps, 3e-3, seed, (TaskLoss(),))
    for rate, strength in itertools.product(rates, strengths):
        way = Descent(SGD(rate), count, terms=of(strength))
        yield Run(f"rate {rate:g}, strength {strength:g}", partial(adapted, data, net, start, way))


def hierarchical(data: Schools, seed: int, steps: int) -> Iterator[Run]:
    """A Bayesian output layer for each school, its prior and its features learned over schools (ALPaCA)."""
    net, way = net_of(data, 1, seed), ClosedForm(BayesianLinear(), growing=True)
    for rate in RATES:
        start = over_schools(net, data, steps, way, seed, rule=Adam(rate), objective=GaussianNLL())
        yield Run(f"rate {rate:g}", partial(adapted, data, net, start, way))


ROWS: Mapping[str, Callable[[Schools, int, int], Iterator[Run]]] = {
    "pooled": pooled,
    "independent": independent,
    "hard sharing": hard_sharing,
    "soft sharing": soft_sharing,
    "MAML": maml,
    "fine-tuning": fine_tuning,
    "KL anchor": partial(anchored, of=lambda s: (KLOfValues(s),), strengths=(0.3, 0.6, 0.9)),
    "L2 anchor": partial(anchored, of=lambda s: (TaskLoss(), L2SP(s, s)), strengths=(0.1, 1.0, 5.0)),
    "hierarchical": hierarchical,
    "quantiles": partial(pooled, levels=LEVELS),
}
"""Every row has six runs to choose from."""
