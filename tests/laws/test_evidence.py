"""Ridge and noise by evidence, and intervals of as few rows as two."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from metatl.adapt import BayesianLinear, GaussianProcess
from metatl.adapt.solvers.evidence import CAUCHY, NORMAL, best_noise, best_ridge, widened
from metatl.adapt.solvers.solver import Solver


def drawn(n: int, d: int = 3) -> tuple[Tensor, Tensor]:
    made = torch.Generator().manual_seed(n)
    x = torch.randn(n, d, generator=made, dtype=torch.float64)
    return x, x.sum(1, keepdim=True) + 0.5 * torch.randn(n, 1, generator=made, dtype=torch.float64)


def test_quantiles_are_those_of_student_s_t() -> None:
    degrees = torch.tensor([1.0, 2.0, 3.0, 5.0, 10.0, 100.0], dtype=torch.float64)
    found = NORMAL * widened(torch.ones(6, dtype=torch.float64), degrees).sqrt()
    wanted = stats.t.ppf(0.975, degrees.numpy())
    near = [1e-10, 8e-3, 2e-3, 2e-4, 1e-5, 1e-9]
    assert (np.abs(found.numpy() / wanted - 1) <= near).all(), found.numpy() / wanted - 1
    assert stats.norm.ppf(0.975) == pytest.approx(NORMAL)
    assert stats.t.ppf(0.975, 1) == pytest.approx(CAUCHY)


def test_the_ridge_is_the_posterior_mean_of_its_log_by_brute_force() -> None:
    """The marginal density of the targets' differences from their mean, noise at its likeliest."""
    x, y = drawn(9)
    found, noise = best_ridge(x, y, torch.ones(9, dtype=torch.float64))
    x, y = x - x.mean(0), y - y.mean(0)
    basis = np.linalg.svd(np.eye(9) - 1 / 9)[0][:, :8]
    a, t = basis.T @ (x @ x.T).numpy() @ basis, basis.T @ y.numpy()[:, 0]
    ridges = float(x.square().sum()) / 9 * np.logspace(-4, 4, 49)
    density = []
    for ridge in ridges:
        shape = np.eye(8) + a / ridge
        s = t @ np.linalg.solve(shape, t) / 8
        density.append(stats.multivariate_normal.logpdf(t, cov=s * shape))
    chance = np.exp(np.array(density) - max(density))
    wanted = np.exp((chance * np.log(ridges)).sum() / chance.sum())
    assert found.item() == pytest.approx(wanted, rel=1e-9)
    assert noise.item() == pytest.approx(t @ np.linalg.solve(np.eye(8) + a / wanted, t) / 8, rel=1e-9)


@pytest.mark.parametrize("known", [1e-3, 0.25, 4.0])
def test_the_ridge_of_a_known_noise_by_brute_force(known: float) -> None:
    x, y = drawn(9)
    found, noise = best_ridge(x, y, torch.ones(9, dtype=torch.float64), known)
    x, y = x - x.mean(0), y - y.mean(0)
    basis = np.linalg.svd(np.eye(9) - 1 / 9)[0][:, :8]
    a, t = basis.T @ (x @ x.T).numpy() @ basis, basis.T @ y.numpy()[:, 0]
    larger = max(1.0, float(t @ t) / 8 / known)
    ridges = float(x.square().sum()) / 9 / larger * np.logspace(-4, 4, 49)
    covariances = [known * (np.eye(8) + a / ridge) for ridge in ridges]
    density = np.array([-(t @ np.linalg.solve(c, t) + np.linalg.slogdet(c)[1]) / 2 for c in covariances])
    chance = np.exp(density - density.max())
    wanted = np.exp((chance * np.log(ridges)).sum() / chance.sum())
    one = torch.ones((), dtype=torch.float64)
    assert found.item() == pytest.approx(wanted / widened(one, 8 * one).item(), rel=1e-6)
    assert noise.tolist() == [known]


def test_a_kernel_of_products_is_a_ridge_and_weights_are_repetitions() -> None:
    x, y = drawn(6)
    weight = torch.tensor([1.0, 2.0, 1.0, 3.0, 1.0, 1.0], dtype=torch.float64)
    repeated = torch.repeat_interleave(torch.arange(6), weight.long())
    one = best_ridge(x, y, weight)
    for other in (
        best_ridge(x[repeated], y[repeated], torch.ones(9, dtype=torch.float64)),
        best_noise(x @ x.T, y, weight),
    ):
        torch.testing.assert_close(other, one)


@pytest.mark.parametrize(
    ("solver", "least"),
    [(BayesianLinear(), 0.89), (GaussianProcess(), 0.89), (BayesianLinear(noise=0.09), 0.86)],
    ids=["linear", "process", "known noise"],
)
@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_intervals_of_few_rows_hold_about_what_they_say(solver: Solver, least: float, n: int) -> None:
    """100 tasks of 5 numbers, 40 new rows each: 95 % said. Of 2 rows 70 % if estimated noise counts as known.

    With the noise known, 41 % of 2 rows if the ridge is that of an estimated noise.
    """
    held = list[float]()
    for seed in range(100):
        made = torch.Generator().manual_seed(seed)
        x, layer = (torch.randn(*shape, generator=made) for shape in ((n + 40, 5), (5, 1)))
        y = x @ layer + 0.3 * torch.randn(n + 40, 1, generator=made)
        fitted = solver.fit(x[:n], y[:n], 1)
        half = NORMAL * solver.spread(fitted, x[n:]).sqrt()
        held.append(float(((solver.predict(fitted, x[n:]) - y[n:]).abs() <= half).float().mean()))
    assert np.mean(held) >= least, np.mean(held)


def test_a_process_of_real_targets_has_their_unit() -> None:
    x, y = drawn(20)
    solver = GaussianProcess()
    one, other = (solver.fit(x, scale * y + shift, 1) for scale, shift in ((1.0, 0.0), (1000.0, 7.0)))
    torch.testing.assert_close(solver.predict(other, x), 1000 * solver.predict(one, x) + 7)
    torch.testing.assert_close(solver.spread(other, x), 1e6 * solver.spread(one, x))
