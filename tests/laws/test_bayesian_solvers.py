"""Bayesian solvers against normal equations, quadrature, batch and online, and what they promise."""

import math

import pytest
import torch
from scipy.stats import binomtest

from metatl.adapt import BayesianLastLayer, BayesianLinear, GaussianClasses, GaussianProcess, NearestCentroid
from metatl.types import MetatlError


def rows(seed: int, n: int, d: int) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def prior_of(solver, d, outputs, seed=3):
    prior = solver.prior(d, outputs)
    return {
        k: v.double() + 0.3 * rows(seed, *v.shape) if v.dim() == 2 else v.double() for k, v in prior.items()
    }


def test_the_posterior_solves_the_normal_equations() -> None:
    solver, x, y = BayesianLinear(noise=0.2), rows(0, 7, 3), rows(1, 7, 2)
    prior = prior_of(solver, 3, 2)
    p, before = torch.cat([x, torch.ones(7, 1)], 1), prior["root"] @ prior["root"].T
    precision = before + p.T @ p
    found = solver.fit_under(prior, x, y, 2)
    expected = torch.linalg.solve(precision, p.T @ y + before @ prior["mean"])
    assert torch.allclose(found.mean, expected, atol=1e-6)
    assert torch.allclose(found.covariance, precision.inverse(), atol=1e-6)
    assert torch.allclose(found.noise, torch.full((2,), 0.2, dtype=torch.float64))


def test_one_weight_against_brute_force_quadrature() -> None:
    """K of a feature alone (the constant pinned by its prior), integrated over a grid."""
    solver, x, y, noise = BayesianLinear(noise=0.3), rows(0, 4, 1), rows(1, 4, 1), 0.3
    prior = {
        "mean": torch.tensor([[0.5], [0.0]]).double(),
        "root": torch.diag(torch.tensor([0.8, 1e3])).double(),
    }
    found, new = solver.fit_under(prior, x, y, 1), torch.tensor([[1.7]]).double()
    k = torch.linspace(-30, 30, 600_001, dtype=torch.float64)
    spread = noise / (0.64 + prior["root"][1, 1] ** 2 * 1e-8 / 2)  # with the jitter that is stated
    log = -((k - 0.5) ** 2) / (2 * spread) - ((y - x * k) ** 2).sum(0) / (2 * noise)
    share = (log - log.max()).exp()
    share = share / share.sum()
    mean = (share * k * 1.7).sum()
    variance = (share * (k * 1.7 - mean) ** 2).sum() + noise
    assert solver.predict(found, new).item() == pytest.approx(mean.item(), abs=1e-5)
    assert solver.spread(found, new).item() == pytest.approx(variance.item(), abs=1e-5)


def test_rows_added_one_at_a_time_are_the_batch() -> None:
    solver, x, y = BayesianLinear(), rows(0, 9, 4), rows(1, 9, 2)
    prior = prior_of(solver, 4, 2)
    online = solver.fit_under(prior, x[:0], y[:0], 2)
    for one, target in zip(x, y, strict=True):
        online = solver.added(online, one, target)
    batch = solver.fit_under(prior, x, y, 2)
    for a, b in zip(online, batch, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("solver", [BayesianLinear(), BayesianLinear(noise=0.1), GaussianProcess()])
def test_no_row_is_the_priors_answer(solver) -> None:
    x, y = rows(0, 5, 3), rows(1, 5, 2)
    prior = {name: leaf + 0.3 for name, leaf in prior_of(solver, 3, 2).items()}
    fitted = solver.fit_under(prior, x[:0], y[:0], 2)
    p = torch.cat([x, torch.ones(5, 1)], 1)
    expected = p @ prior["mean"] if isinstance(solver, BayesianLinear) else prior["mean"].expand(5, 2)
    assert torch.allclose(solver.predict(fitted, x), expected, atol=1e-6)
    ignored = solver.fit_under(prior, x, y, 2, torch.zeros(5))
    assert torch.allclose(solver.spread(fitted, x), solver.spread(ignored, x), atol=1e-6)
    assert torch.allclose(solver.predict(fitted, x), solver.predict(ignored, x), atol=1e-6)


def test_classes_without_a_row_are_the_priors() -> None:
    solver, x = GaussianClasses(), rows(0, 5, 3)
    fitted = solver.fit_under(solver.prior(3, 4), x[:0], torch.zeros(0, dtype=torch.int64), 4)
    assert torch.allclose(
        solver.predict(fitted, x).exp(), torch.full((5, 4), 0.25, dtype=torch.float64), atol=1e-6
    )


@pytest.mark.parametrize("shot", [1, 3])
def test_a_wide_prior_is_protonet_with_shrunk_logits(shot: int) -> None:
    solver, x, y = GaussianClasses(), rows(0, 4 * shot, 3), torch.arange(4).repeat(shot)
    prior = {
        **solver.prior(3, 4),
        "log_between": torch.full((3,), 25.0),
        "log_within": torch.full((3,), math.log(0.5)),
    }
    prior = {name: leaf.double() for name, leaf in prior.items()}
    new = rows(2, 6, 3)
    proto = NearestCentroid(centred=False, unit=False)
    logits = proto.predict(proto.fit(x, y, 4), new)
    shrunk = (logits / (1 + 1 / shot)).log_softmax(-1)
    assert torch.allclose(solver.predict(solver.fit_under(prior, x, y, 4), new), shrunk, atol=1e-6)


def covered(solver, prior) -> tuple[int, int]:
    """Targets inside their 95 % interval, of tasks whose weights come from the prior."""
    held = total = 0
    for task in range(60):
        x, root = rows(task, 26, 3), prior["root"]
        k = torch.linalg.solve(root.T, rows(1000 + task, 4, 1)) * 0.2**0.5 + prior["mean"]
        y = torch.cat([x, torch.ones(26, 1)], 1) @ k + 0.2**0.5 * rows(2000 + task, 26, 1)
        fitted = solver.fit_under(prior, x[:6], y[:6], 1)
        far = (y[6:] - solver.predict(fitted, x[6:])).abs() / solver.spread(fitted, x[6:]).sqrt()
        held, total = held + int((far < 1.959964).sum()), total + 20
    return held, total


def test_intervals_of_a_true_linear_gaussian_task_cover() -> None:
    solver = BayesianLinear(noise=0.2)
    prior = prior_of(solver, 3, 1)
    held, total = covered(solver, prior)
    assert binomtest(held, total, 0.95).pvalue > 0.01
    wrong, total = covered(BayesianLinear(noise=0.1), prior)
    assert binomtest(wrong, total, 0.95).pvalue < 1e-6


@pytest.mark.parametrize("kernel", ["rbf", "linear", "cosine"])
def test_the_same_row_many_times_is_no_nan(kernel: str) -> None:
    solver = GaussianProcess(kernel=kernel, noise=1e-12)
    x = torch.ones(30, 4).repeat(2, 1)
    fitted = solver.fit(x, torch.full((60, 1), 3.0), 1)
    assert bool(torch.stack([leaf.isfinite().all() for leaf in fitted]).all())
    assert torch.allclose(solver.predict(fitted, x), torch.full((60, 1), 3.0), atol=1e-2)
    assert bool((solver.spread(fitted, x) >= 0).all())


def test_constant_targets_and_one_row_have_an_answer() -> None:
    for solver in (BayesianLinear(), BayesianLastLayer(), GaussianProcess()):
        for x, y in (
            (rows(0, 6, 3), torch.full((6, 1), 2.0).double()),
            (rows(0, 1, 3), torch.ones(1, 1).double()),
        ):
            fitted = solver.fit(x, y, 1)
            found = torch.cat([solver.predict(fitted, rows(5, 9, 3)), solver.spread(fitted, rows(5, 9, 3))])
            assert bool(found.isfinite().all())


def test_evidence_is_the_density_of_the_targets() -> None:
    solver, x, y = GaussianProcess(), rows(0, 6, 3), rows(1, 6, 1)
    prior = {name: leaf.double() for name, leaf in solver.prior(3, 1).items()}
    k = (-torch.cdist(x, x).square() / (2 * 3)).exp() + (0.1 + 1e-6) * torch.eye(6)
    expected = torch.distributions.MultivariateNormal(torch.zeros(6).double(), k).log_prob(y[:, 0])
    assert solver.evidence(prior, x, y, 1).item() == pytest.approx(expected.item(), abs=1e-6)


def test_labels_are_likelier_where_the_process_says_so() -> None:
    """2 m / (v + s) is the log-odds of +1 against -1 under the predictive normal."""
    solver, x, y = (
        GaussianProcess(kernel="cosine", predictive=True),
        rows(0, 6, 3),
        torch.tensor([0, 1, 2, 0, 1, 2]),
    )
    plain = GaussianProcess(kernel="cosine")
    fitted, new = solver.fit(x, y, 3), rows(4, 5, 3)
    normal = torch.distributions.Normal(plain.predict(fitted, new), solver.spread(fitted, new).sqrt())
    odds = normal.log_prob(torch.ones(())) - normal.log_prob(-torch.ones(()))
    assert torch.allclose(solver.predict(fitted, new), odds, atol=1e-6)


def test_wrong_targets_are_one_clear_line() -> None:
    with pytest.raises(MetatlError, match="GaussianClasses"):
        BayesianLinear().fit(rows(0, 3, 2), torch.tensor([0, 1, 1]), 2)
    with pytest.raises(MetatlError, match="says no spread"):
        NearestCentroid().spread(None, rows(0, 3, 2))
