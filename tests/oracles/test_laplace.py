"""Laplace's posterior is the Hessian's inverse; ensembles and temperatures are what they say."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from metatl.adapt import (
    Adaptation,
    ClosedForm,
    Descent,
    Ensemble,
    Laplace,
    LogisticRegression,
    NearestCentroid,
    RidgeRegression,
    Tempered,
    head_net,
)
from metatl.heads import Zeros
from metatl.rules import SGD
from metatl.testing import check_adaptation
from metatl.transferring.readout import fit_readout, readout_of
from metatl.types import Batch, MetatlError
from tests.toys import WAY, rows, toy_net, toy_task, toy_tasks

WAYS: dict[str, Adaptation] = {
    "laplace of descent": Laplace(Descent(SGD(0.3), 4)),
    "laplace of logistic regression": Laplace(ClosedForm(LogisticRegression()), precision=0.5),
    "ensemble of descents": Ensemble(Descent(SGD(0.3), 4, Zeros()), members=3),
    "tempered centroids": Tempered(ClosedForm(NearestCentroid()), temperature=3.0),
    "laplace of an ensemble's member, tempered": Tempered(Laplace(Descent(SGD(0.3), 2)), 0.5),
}


@pytest.mark.parametrize("name", WAYS)
def test_it_keeps_the_laws(name: str) -> None:
    net = toy_net(norm=True)
    check_adaptation(WAYS[name], net, net.start(), toy_tasks(3), 1e-4)


def layer_of(way: Laplace, width: int, outputs: int, support: Batch) -> tuple[Tensor, Any, Any]:
    """[outputs, width + 1] that the inner one fitted, and the net of features that it was fitted on."""
    net, transfer = head_net(width, outputs)
    fitted = way.adaptation.fit(net, transfer, support)
    return torch.cat([fitted.weight, fitted.bias[:, None]], 1).double(), net, transfer


@pytest.mark.parametrize("weighted", [False, True])
def test_variances_are_those_of_the_inverse_hessian(weighted: bool) -> None:
    way = Laplace(ClosedForm(LogisticRegression(0.1)), precision=0.7)
    x, y, new = torch.randn(8, 5), torch.arange(8) % 3, torch.randn(4, 5)
    weight = torch.rand(8) + 0.2 if weighted else None
    support = Batch(x, y, weight)
    layer, net, transfer = layer_of(way, 5, 3, support)
    one = torch.cat([x, torch.ones(8, 1)], 1).double()

    def loss(flat: Tensor) -> Tensor:
        each = F.cross_entropy(one @ flat.view(3, 6).T, y, reduction="none")
        return (each if weight is None else weight.double() * each).sum() + 0.35 * flat.square().sum()

    hessian = torch.autograd.functional.hessian(loss, layer.flatten())
    asked = torch.cat([new, torch.ones(4, 1)], 1).double()
    jacobian = torch.einsum("cd,qe->qcde", torch.eye(3).double(), asked).reshape(4, 3, 18)
    variance = torch.einsum("qcp,pr,qcr->qc", jacobian, torch.linalg.pinv(hessian), jacobian)
    wanted = asked @ layer.T / (1 + math.pi / 8 * variance).sqrt()
    found = way.predict(net, transfer, way.fit(net, transfer, support), support, new)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)
    sure = way.adaptation.predict(net, transfer, way.adaptation.fit(net, transfer, support), support, new)
    assert (found.softmax(-1).amax(-1) < sure.softmax(-1).amax(-1)).all()


def test_real_values_have_the_variance_of_bayesian_regression() -> None:
    way = Laplace(ClosedForm(RidgeRegression(0.3)), precision=2.0, noise=0.25)
    x, y, new = torch.randn(9, 4), torch.randn(9, 2), torch.randn(5, 4)
    net, transfer = head_net(4, 2)
    support = Batch(x, y)
    found = way.spread(net, transfer, way.fit(net, transfer, support), support, new)
    one, asked = (torch.cat([part, torch.ones(len(part), 1)], 1).double() for part in (x, new))
    inverse = torch.linalg.pinv(one.T @ one / 0.25 + 2.0 * torch.eye(5).double())
    wanted = torch.einsum("qd,de,qe->q", asked, inverse, asked) + 0.25
    torch.testing.assert_close(found, wanted[:, None].expand(-1, 2))


def test_a_sure_prior_is_the_inner_way() -> None:
    net, one = toy_net(), toy_task()
    inner = Descent(SGD(0.3), 4)
    found = Laplace(inner, precision=1e12).answer(net, net.start(), one)
    torch.testing.assert_close(found, inner.answer(net, net.start(), one))


def test_copies_of_a_row_are_its_weight() -> None:
    net, one, way = toy_net(), toy_task(), Laplace(ClosedForm(LogisticRegression(0.1)))
    weight = torch.tensor([1.0, 2.0, 1.0, 3.0, 1.0, 1.0], dtype=torch.float64)
    at = torch.repeat_interleave(torch.arange(6), weight.long())
    copied = one._replace(support=Batch(one.support.x[at], one.support.y[at]))
    weighted = one._replace(support=one.support._replace(weight=weight))
    answers = [way.answer(net, net.start(), episode) for episode in (copied, weighted)]
    torch.testing.assert_close(answers[0], answers[1], rtol=1e-4, atol=1e-5)


def test_an_ensemble_of_one_is_the_inner_way() -> None:
    net, one, inner = toy_net(), toy_task(), Descent(SGD(0.3), 4)
    found = Ensemble(inner, 1, reweighted=False).answer(net, net.start(), one)
    torch.testing.assert_close(found, inner.answer(net, net.start(), one).log_softmax(-1))


def test_members_differ_and_their_probabilities_are_averaged() -> None:
    net, one, way = toy_net(), toy_task(), Ensemble(ClosedForm(LogisticRegression(0.1)), 4)
    fitted = way.fit(net, net.start(), one.support, key=3)
    said = [way.adaptation.predict(net, net.start(), fit, one.support, one.query.x) for fit in fitted.fits]
    assert len({float(outputs.abs().sum()) for outputs in said}) == 4
    found = way.predict(net, net.start(), fitted, one.support, one.query.x)
    wanted = torch.stack(said).softmax(-1).mean(0)
    torch.testing.assert_close(found.exp(), wanted)
    again, other = (way.fit(net, net.start(), one.support, key=key) for key in (3, 4))
    assert torch.equal(again.fits[0].weight, fitted.fits[0].weight)
    assert not torch.equal(other.fits[0].weight, fitted.fits[0].weight)


def test_spread_of_an_ensemble_is_within_and_between() -> None:
    inner = Laplace(ClosedForm(RidgeRegression(0.3)), noise=0.5)
    way, (net, transfer) = Ensemble(inner, 3), head_net(4, 1)
    support, new = Batch(torch.randn(9, 4), torch.randn(9, 1)), torch.randn(5, 4)
    fitted = way.fit(net, transfer, support)
    parts = [(net, transfer, fit, support, new) for fit in fitted.fits]
    means = torch.stack([inner.predict(*part) for part in parts])
    wanted = torch.stack([inner.spread(*part) for part in parts]).mean(0) + means.var(0, correction=0)
    torch.testing.assert_close(way.spread(net, transfer, fitted, support, new), wanted)
    torch.testing.assert_close(way.predict(net, transfer, fitted, support, new), means.mean(0))


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("name", ["laplace", "ensemble"])
def test_what_was_fitted_is_saved_and_read(name: str, real: bool) -> None:
    """A model has no support rows any more, and says the same."""
    inner = {
        "class_path": "ClosedForm",
        "init_args": {"solver": {"class_path": "metatl.adapt.solvers.RidgeRegression"}},
    }
    kind = {"laplace": "Laplace", "ensemble": "Ensemble"}[name]
    described = {"class_path": kind, "init_args": {"adaptation": inner}}
    y = torch.randn(9, 3) if real else torch.arange(9) % 3
    way = {"laplace": Laplace, "ensemble": Ensemble}[name](ClosedForm(RidgeRegression()))
    made = fit_readout(way, Batch(torch.randn(9, 4), y), 3)
    leaves = [made.get_buffer(f"fitted_{i}") for i in range(made.count)]
    read = readout_of(described, 4, 3, leaves)
    new = torch.randn(5, 4)
    assert torch.equal(read(new), made(new))
    if real and name == "laplace":
        assert torch.equal(read.spread(new), made.spread(new))


def test_weights_are_those_that_the_inner_way_moved() -> None:
    """Whatever lies around it: features of weights that did not move would be silently wrong."""
    net, one, inner = toy_net(), toy_task(), Descent(SGD(0.3), 4)
    start = net.start()
    wanted = inner(net, start, one.support)
    for way in (Tempered(inner), Laplace(inner), Laplace(Tempered(inner)), Ensemble(inner, 1, False)):
        found = way.adapted(net, start, way.fit(net, start, one.support)).params
        torch.testing.assert_close(found, wanted)
    told = [Laplace(way).answer(net, start, one) for way in (inner, Tempered(inner))]
    torch.testing.assert_close(told[1], told[0])
    several = Ensemble(inner, 2)
    with pytest.raises(MetatlError, match="weights of 2 members"):
        several.adapted(net, start, several.fit(net, start, one.support))
    closed = Ensemble(ClosedForm(LogisticRegression()), 2)
    assert closed.adapted(net, start, closed.fit(net, start, one.support)) is start


def test_several_labels_are_averaged_as_probabilities() -> None:
    net, transfer = head_net(4, 3)
    support, new = Batch(torch.randn(9, 4), torch.rand(9, 3) > 0.5), torch.randn(5, 4)
    way = Ensemble(ClosedForm(RidgeRegression()), 3)
    fitted = way.fit(net, transfer, support)
    said = [way.adaptation.predict(net, transfer, fit, support, new).sigmoid() for fit in fitted.fits]
    found = way.predict(net, transfer, fitted, support, new).sigmoid()
    torch.testing.assert_close(found, torch.stack(said).mean(0))


def test_a_temperature_divides_logits() -> None:
    net, one, inner = toy_net(), toy_task(), ClosedForm()
    found = Tempered(inner, 4.0).answer(net, net.start(), one)
    torch.testing.assert_close(found, inner.answer(net, net.start(), one) / 4)


def test_what_means_nothing_is_one_line() -> None:
    net = toy_net()
    for made in (
        lambda: Tempered(temperature=0.0),
        lambda: Laplace(precision=0.0),
        lambda: Ensemble(members=0),
    ):
        with pytest.raises(MetatlError):
            made()
    with pytest.raises(MetatlError, match="no classes"):
        Tempered(ClosedForm(RidgeRegression())).check(net, net.start(), real=True)
    with pytest.raises(MetatlError, match="one target a row"):
        Laplace().fit(net, net.start(), Batch(rows(4).x, torch.rand(4, WAY) > 0.5))
    few = Batch(torch.randn(100, 70), torch.arange(100))
    head, transfer = head_net(70, 100)
    with pytest.raises(MetatlError, match="6000 at most"):
        Laplace(ClosedForm(), covariance="full").fit(head, transfer, few)
