"""A recorded outer gradient is the loop's, for other tasks and weights than those it was recorded with."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor, nn

from metatl import tree
from metatl.adapt import Descent, QueryLoss
from metatl.engines import Batched, Loop
from metatl.engines.chunk import own
from metatl.models import MLP
from metatl.net import Net
from metatl.objectives import TaskLoss
from metatl.objectives.term import Anchor, Term
from metatl.types import Batch, Episode, MetatlError, Params, Transfer
from tests.cases import MAIN, NETS, OTHERS, Case, carried, episodes_for, net_of, sgd, worst
from tests.outer import Outer, outer_gradient


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def other_values(transfer: Transfer, episodes: Episode) -> tuple[Transfer, Episode]:
    """Other weights, guides and tasks of the same shapes."""
    torch.manual_seed(7)
    params = tree.map(lambda p: p + 0.05 * torch.randn_like(p), transfer.params)
    guide = tree.map(lambda g: g * (1 + 0.2 * torch.rand_like(g)), transfer.guide)
    turned = Episode(*(Batch(part.x.flip(0), part.y.flip(1)) for part in (episodes.support, episodes.query)))
    return Transfer(params, guide, transfer.buffers), turned


def assert_recorded(engine: Batched, name: str, case: Case) -> None:
    net, shape = net_of(name)
    transfer, episodes = carried(net, case.guide), episodes_for(shape)
    outer = replace(case.outer, calls=1000)
    for given in ((transfer, episodes), other_values(transfer, episodes), (transfer, episodes)):
        ours, metrics = outer_gradient(engine, net, given[0], case.adaptation, given[1], outer)
        theirs, expected = outer_gradient(Loop(), net, given[0], case.adaptation, given[1], outer)
        assert worst(ours, theirs) < 1e-8
        for key, value in expected.items():
            torch.testing.assert_close(metrics[key], value, rtol=1e-8, atol=1e-10)
    assert engine._recordings._known, "nothing was recorded"


@pytest.mark.parametrize("net", NETS)
def test_every_net(net: str) -> None:
    assert_recorded(Batched(record=True), net, MAIN["sgd, 1 step"])


@pytest.mark.parametrize("case", [*MAIN, *OTHERS])
def test_every_adaptation(case: str) -> None:
    assert_recorded(Batched(2), "mlp, batch norm", {**MAIN, **OTHERS}[case])


@pytest.mark.slow
def test_compiled() -> None:
    assert_recorded(Batched(compile=True), "mlp", MAIN["sgd, 1 step"])


def test_weights_of_the_steps_may_change_between_calls() -> None:
    net, shape = net_of("mlp")
    transfer, episodes, engine = net.start(), episodes_for(shape), Batched(record=True)
    for weights in ([0.2, 0.3, 0.5], [0.0, 0.1, 0.9], None):
        outer = Outer(step_weights=None if weights is None else torch.tensor(weights))
        ours, _ = outer_gradient(engine, net, transfer, sgd(2), episodes, outer)
        theirs, _ = outer_gradient(Loop(), net, transfer, sgd(2), episodes, outer)
        assert worst(ours, theirs) < 1e-10


def test_recording_leaves_the_random_state_alone() -> None:
    net, shape = net_of("mlp")
    episodes = episodes_for(shape)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    outer_gradient(Batched(record=True), net, net.start(), sgd(1), episodes, Outer())
    assert torch.equal(before, torch.get_rng_state())


@dataclass(frozen=True)
class OfOnesOwn(Term):
    """A term that this package knows nothing of, and that reads a value."""

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        value = nn.functional.cross_entropy(output, batch.y)
        return value * 2.0 if bool(value.detach() > 0) else value


class NetOfOnesOwn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x)


def test_only_what_is_known_is_recorded_unasked() -> None:
    plain, known = Net.of(MLP((4,), 3, (8,))), sgd(1)

    def ours(net: Net, adaptation: Descent) -> bool:
        return own(QueryLoss(net, adaptation, net.start()))

    assert ours(plain, known)
    assert not ours(Net.of(NetOfOnesOwn()), known)
    assert not ours(plain, replace(known, terms=(TaskLoss(), OfOnesOwn())))


def test_few_steps_are_not_worth_a_recording() -> None:
    net, shape = net_of("mlp")
    for calls, recorded in ((10, 0), (1000, 1)):
        engine = Batched()
        outer_gradient(engine, net, net.start(), sgd(1), episodes_for(shape), Outer(calls=calls))
        assert len(engine._recordings._known) == recorded


@pytest.mark.parametrize("record", [False, True])
def test_reading_a_value_is_one_clear_line(record: bool) -> None:
    net, shape = net_of("mlp")
    adaptation = replace(sgd(1), terms=(OfOnesOwn(),))
    with pytest.raises(MetatlError, match=re.escape("use engine: {class_path: Loop}")):
        outer_gradient(Batched(record=record), net, net.start(), adaptation, episodes_for(shape), Outer())
