"""A target that no row of a batch has says nothing, whatever makes one gradient of several losses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from metatl.aggregates import DWA, IMTLL, MGDA, Aggregate, CAGrad, GradNorm, Uncertainty
from metatl.data import LabelledRows
from metatl.data.many_targets import ManyTargets
from metatl.engines import Loop
from metatl.learners import Supervised
from metatl.models import SharedTrunk
from metatl.net import Net
from metatl.objectives import OfTarget
from metatl.rules import SGD
from metatl.train import train
from metatl.types import Batch, Params

X = torch.randn(12, 4, generator=torch.Generator().manual_seed(0))
Y = X[:, :1] - X[:, 1:2]
NONE = torch.full_like(Y, torch.nan)


def slopes(at: Tensor, there: bool) -> list[Tensor]:
    """Two losses in conflict; the second is 0 where no row has it."""
    second = (at - 2).square().sum()
    return [5 * (at + torch.arange(3.0)).square().sum(), second if there else 0 * second]


def stepped(rule: Aggregate, presence: list[bool]) -> tuple[Tensor, Params]:
    """The last gradient and state after steps, always at the same place."""
    at, state, gradient = torch.ones(3, requires_grad=True), rule.init(0), {"w": torch.zeros(3)}
    for held in presence:
        there = torch.tensor([True, held])
        gradient, state = rule.over_losses(slopes(at, held), {"w": at}, state, there)
    return gradient["w"], state


@pytest.mark.parametrize("rule", [MGDA(), CAGrad()])
def test_an_absent_target_does_not_halt_the_others(rule: Aggregate) -> None:
    alone = 10 * (torch.ones(3) + torch.arange(3.0))
    assert torch.allclose(stepped(rule, [False])[0], alone)
    at = torch.ones(3, requires_grad=True)
    assert not rule.over_losses(slopes(at, False), {"w": at}, {})[0]["w"].any()  # there, it would


@pytest.mark.parametrize("rule", [Uncertainty(SGD(0.1)), IMTLL(SGD(0.1)), DWA(2)])
def test_weights_of_losses_do_not_hang_on_batches_without_a_target(rule: Aggregate) -> None:
    """What is remembered of the second loss is that of the steps that had it."""
    _, gaps = stepped(rule, [True, False, True, False])
    _, none = stepped(rule, [True, True])
    if isinstance(rule, DWA):  # epochs of two steps with one value each
        assert torch.equal(gaps["last"], none["now"] / 2)
        gradient, state = stepped(rule, [False, False, False, False, True, True, False])
        assert gradient.isfinite().all()
        assert state["last"].isfinite().all()
    else:
        assert torch.equal(gaps["s"][1], none["s"][1])
        assert float(gaps["s"][0]) != float(none["s"][0])


def test_grad_norm_starts_where_a_loss_first_is() -> None:
    """By hand: the first step moves no weight, the others are those of a run that begins at the second."""
    late, begun = stepped(GradNorm(), [False, True, True]), stepped(GradNorm(), [True, True])
    assert torch.equal(late[0], begun[0])
    for name in ("first", "weights"):
        assert torch.equal(late[1][name], begun[1][name]), name


@pytest.mark.parametrize("rule", [MGDA(), CAGrad(), GradNorm(), Uncertainty(), IMTLL(), DWA(3)])
def test_a_target_that_no_row_has_leaves_the_other_learning(rule: Aggregate) -> None:
    """Through the learner: a target without one row, beside one that can be learned."""
    torch.manual_seed(0)
    net = Net.of(SharedTrunk((4,), 1, {"known": 1, "never": 1}, filters=(), hidden=(8,)))
    terms = (OfTarget("known"), OfTarget("never"))
    data = ManyTargets("mine", {"meta_train": Batch(X, {"known": Y, "never": NONE})})
    learner = Supervised(
        300,
        12,
        SGD(0.1),
        terms,
        streams={"source": LabelledRows("meta_train", 12)},
        aggregate=rule,
    )
    params = train(learner, net, Loop(), learner.init(net, net.start()), data, 0).transfer.params
    assert all(leaf.isfinite().all() for leaf in params.values())
    off = net(params, {}, X)["known"] - Y
    assert float(off.square().mean()) < 0.3 * float(Y.var())
