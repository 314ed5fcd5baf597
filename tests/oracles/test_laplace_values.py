"""Laplace of real values is Bayesian linear regression, whose noise the rows themselves say."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from scipy import stats
from torch import Tensor

from metatl import tree
from metatl.adapt import (
    BayesianLinear,
    ClosedForm,
    Ensemble,
    GeneralisedLinear,
    Laplace,
    LogisticRegression,
    head_net,
)
from metatl.adapt.laplace import OfValues
from metatl.adapt.solvers.evidence import best_ridge, widened
from metatl.engines import Batched
from metatl.net import Net
from metatl.testing import check_adaptation
from metatl.types import Batch, Episode, MetatlError, Transfer
from tests.toys import toy_net, toy_tasks

WAY = Laplace(ClosedForm(GeneralisedLinear(0.02)), precision=2.0, noise=None)


def drawn(n: int = 30, d: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, two targets of noise 0.3 and 2, weights."""
    made = torch.Generator().manual_seed(n)
    x, e = (torch.randn(n, k, generator=made, dtype=torch.float64) for k in (d, 2))
    y = x[:, :2] + 1 + e * torch.tensor([0.3, 2.0], dtype=torch.float64)
    return x, y, torch.rand(n, generator=made, dtype=torch.float64) + 0.2


def bare(width: int, outputs: int) -> tuple[Net, Transfer]:
    """`head_net` in float64."""
    net, transfer = head_net(width, outputs)
    return net, replace(transfer, params=tree.apply(torch.Tensor.double, transfer.params))


def noise_of(way: Laplace, x: Tensor, y: Tensor, weight: Tensor | None = None) -> Tensor:
    fitted = way.fit(*bare(x.shape[1], y.shape[1]), Batch(x, y, weight))
    assert isinstance(fitted, OfValues)
    return fitted.noise


def with_one(x: Tensor) -> Tensor:
    return torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)


@pytest.mark.parametrize("n", [3, 30])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_layer_is_that_of_the_normal_equations(n: int, weighted: bool) -> None:
    x, y, weight = drawn(n)
    rows = weight if weighted else torch.ones_like(weight)
    share, one = rows / rows.sum(), with_one(x)
    penalty = 0.02 * torch.diag(torch.tensor([1.0] * 4 + [0.0], dtype=torch.float64))
    wanted = torch.linalg.solve(one.T @ (share[:, None] * one) + penalty, one.T @ (share[:, None] * y))
    found = GeneralisedLinear(0.02).fit(x, y, 2, rows if weighted else None)
    torch.testing.assert_close(torch.cat([found.weight.T, found.bias[None]]), wanted)
    labels = torch.arange(n) % 3
    both = [solver.fit(x, labels, 3, weight) for solver in (GeneralisedLinear(0.1), LogisticRegression(0.1))]
    assert torch.equal(both[0].weight, both[1].weight)


@pytest.mark.parametrize("n", [3, 30])
@pytest.mark.parametrize("weighted", [False, True])
def test_variances_are_those_of_bayesian_regression_of_each_target(n: int, weighted: bool) -> None:
    x, y, weight = drawn(n)
    support = Batch(x, y, weight if weighted else None)
    net, transfer = bare(4, 2)
    asked, rows = with_one(drawn(7)[0]), weight if weighted else torch.ones_like(weight)
    evidence = best_ridge(x, y, rows)[1]
    torch.testing.assert_close(noise_of(WAY, x, y, support.weight), evidence)
    torch.testing.assert_close(
        widened(evidence, rows.sum() - 1), BayesianLinear().fit(x, y, 2, support.weight).noise
    )
    found = WAY.spread(net, transfer, WAY.fit(net, transfer, support), support, asked[:, :4])
    for k, noise in enumerate(evidence.tolist()):
        precision = with_one(x).T @ (rows[:, None] * with_one(x)) / noise + 2.0 * torch.eye(5).double()
        wanted = ((asked @ torch.linalg.inv(precision)) * asked).sum(1) + noise
        torch.testing.assert_close(found[:, k], widened(wanted, rows.sum() - 1))


def test_noise_is_in_the_units_of_its_target() -> None:
    x, y, _ = drawn(400)
    found = noise_of(WAY, x, y)
    torch.testing.assert_close(found, torch.tensor([0.09, 4.0]).double(), rtol=0.2, atol=0)
    torch.testing.assert_close(noise_of(WAY, x, 10 * y), 100 * found)


def test_intervals_of_a_linear_gaussian_task_hold_what_they_say() -> None:
    """600 tasks with a layer drawn from the prior, one new row each: a binomial count."""
    made = torch.Generator().manual_seed(5)
    x, new, layer, e = (
        torch.randn(600, *shape, generator=made, dtype=torch.float64)
        for shape in ((60, 3), (1, 3), (4, 1), (61, 1))
    )
    y = torch.cat([x, new], 1) @ layer[:, :3] + layer[:, 3:] + 0.5 * e
    tasks, (net, transfer) = Episode(Batch(x, y[:, :60]), Batch(new)), bare(3, 1)
    way = Laplace(ClosedForm(GeneralisedLinear(1e-6)), precision=1.0, noise=None)
    low, high = Batched().map(lambda one: way.predictive(net, transfer, one).interval(0.95), tasks)
    inside = int(((low <= y[:, 60:]) & (y[:, 60:] <= high)).sum())
    assert stats.binomtest(inside, 600, 0.95).pvalue > 0.01, inside


@pytest.mark.parametrize("n", [3, 30])
@pytest.mark.parametrize("l2", [1e-4, 0.5])
def test_a_ridge_spreads_as_the_posterior_whose_mean_it_is(n: int, l2: float) -> None:
    x, y, weight = drawn(n)
    solver, asked, total = GeneralisedLinear(l2), 3 * drawn(7)[0], weight.sum()
    fitted = solver.fit(x, y, 2, weight)
    root = torch.tensor([*[float(l2 * total)] * 4, 0.0], dtype=torch.float64).sqrt().diag()
    noise = widened(best_ridge(x, y, weight)[1], total - 1)
    prior = {"mean": torch.zeros(5, 2).double(), "root": root, "log_noise": noise.log()}
    wanted = BayesianLinear().fit_under(prior, x, y, 2, weight)
    # BayesianLinear adds 1e-8 of its prior's mean diagonal: a constant that is not quite free
    torch.testing.assert_close(
        solver.predict(fitted, asked), BayesianLinear().predict(wanted, asked), rtol=1e-5, atol=1e-6
    )
    torch.testing.assert_close(
        solver.spread(fitted, asked), BayesianLinear().spread(wanted, asked), rtol=1e-5, atol=1e-6
    )
    classes = solver.fit(x, torch.arange(n) % 3, 3)
    with pytest.raises(MetatlError, match="no spread"):
        solver.spread(classes, x)


def test_intervals_of_an_ensemble_hold_about_what_they_say() -> None:
    """500 tasks of 40 rows and 8 features, members alone and averaged."""
    made = torch.Generator().manual_seed(6)
    x, new, layer, e = (
        torch.randn(500, *shape, generator=made, dtype=torch.float64)
        for shape in ((40, 8), (1, 8), (9, 1), (41, 1))
    )
    y = torch.cat([x, new], 1) @ layer[:, :8] + layer[:, 8:] + 0.5 * e
    tasks, (net, transfer) = Episode(Batch(x, y[:, :40]), Batch(new)), bare(8, 1)
    inner = ClosedForm(GeneralisedLinear(1e-4))
    for way in (inner, Ensemble(inner, 10)):
        low, high = Batched().map(
            lambda one, way=way: way.predictive(net, transfer, one).interval(0.95), tasks
        )
        inside = float(((low <= y[:, 40:]) & (y[:, 40:] <= high)).double().mean())
        assert 0.93 < inside < 0.975, (way, inside)


def test_it_keeps_the_laws_where_noise_is_estimated() -> None:
    net, tasks = toy_net(), toy_tasks(3)
    real = tasks._replace(
        support=tasks.support._replace(y=tasks.support.x[..., :3]),
        query=tasks.query._replace(y=tasks.query.x[..., :3]),
    )
    check_adaptation(WAY, net, net.start(), real, 1e-4)


@pytest.mark.parametrize("n", [1, 5])
def test_constant_targets_and_duplicates_are_finite(n: int) -> None:
    net, transfer = head_net(4, 1)
    support = Batch(torch.ones(n, 4), torch.full((n, 1), 3.0))
    told = WAY.predictive(net, transfer, Episode(support, Batch(torch.ones(2, 4))))
    assert told.mean.isfinite().all()
    assert (told.sure() > 0).all()
    assert float(told.mean[0]) == pytest.approx(3.0, abs=1e-3)


def test_a_noise_that_is_none_is_one_line() -> None:
    for noise in (0.0, -1.0, math.nan):
        with pytest.raises(MetatlError, match="above 0"):
            Laplace(noise=noise)
