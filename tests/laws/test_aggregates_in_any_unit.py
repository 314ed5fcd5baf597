"""Aggregates of gradients in small, large and unlike units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from metatl.aggregates import DWA, IMTLG, MGDA, AlignedMTL, CAGrad, GradNorm, NashMTL, UPGrad
from metatl.aggregates.gramian import GramianAggregate
from metatl.types import MetatlError

ALL = [IMTLG(), MGDA(), AlignedMTL(), CAGrad(), NashMTL(), UPGrad()]


def gradients(k: int = 3) -> Any:
    return np.random.default_rng(0).normal(size=(k, 10))


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e-3, 1e6, 1e12])
@pytest.mark.parametrize("aggregate", ALL, ids=lambda one: type(one).__name__)
def test_gradients_c_times_as_long_have_the_same_weights(aggregate: GramianAggregate, unit: float) -> None:
    gramian = gradients() @ gradients().T
    np.testing.assert_allclose(aggregate.weights(unit**2 * gramian), aggregate.weights(gramian), rtol=1e-6)


@pytest.mark.parametrize("short", [1e-2, 1e-4, 1e-6])
def test_nash_bargains_alike_with_short_gradients(short: float) -> None:
    """w_i |g_i| hangs on angles alone, up to one factor."""
    one = gradients()
    other = one * np.array([[1.0], [short], [1.0]])
    found = [NashMTL().weights(j @ j.T)[:, None] * j for j in (one, other)]
    found = [d / np.linalg.norm(d) for d in found]
    np.testing.assert_allclose(found[0], found[1], atol=1e-9)


@pytest.mark.parametrize("short", [1.0, 1e-2, 1e-4, 1e-6])
def test_cagrad_helps_a_task_with_a_short_gradient(short: float) -> None:
    """As an optimiser that knows nothing of the dual: max over |d - g_0| <= c |g_0| of the least d . g_i."""
    j = gradients(2) * np.array([[1.0], [short]])
    mean, c = j.mean(0), 0.4
    size = np.linalg.norm(mean)
    found = minimize(
        lambda v: -v[-1],
        np.append(mean / size, 0.0),
        constraints=[
            {"type": "ineq", "fun": lambda v: j @ v[:-1] - v[-1] * short},
            {"type": "ineq", "fun": lambda v: c**2 - ((v[:-1] - mean / size) ** 2).sum()},
        ],
        method="SLSQP",
        options={"maxiter": 1000, "ftol": 1e-14},
    )
    np.testing.assert_allclose(CAGrad(c).weights(j @ j.T) @ j, found.x[:-1] * size, atol=1e-5)


@pytest.mark.parametrize("short", [0.5, 1e-3, 1e-6])
@pytest.mark.parametrize(("c", "left"), [(0.0, 1.0), (0.4, 0.6), (1.5, 0.0)])
def test_cagrad_of_opposite_gradients_is_the_end_of_the_ball_or_0(
    c: float, left: float, short: float
) -> None:
    """d = x g_0 helps one task by as much as it harms the other: least harm at x = max(1 - c, 0)."""
    j = gradients(1) * np.array([[1.0], [-short]])
    np.testing.assert_allclose(CAGrad(c).weights(j @ j.T) @ j, left * j.mean(0), atol=1e-9)


@pytest.mark.parametrize("short", [1e-4, 1e-7])
def test_the_shortest_vector_of_unlike_gradients_is_found(short: float) -> None:
    """Of two, w_1 = (|b|^2 - a . b) / |a - b|^2."""
    a, b = gradients(2)
    b = -short * (b + 3 * a)
    w = MGDA().weights(np.stack([a, b]) @ np.stack([a, b]).T)
    assert w[0] == pytest.approx((b @ b - a @ b) / ((a - b) @ (a - b)), rel=1e-6)


@pytest.mark.parametrize("aggregate", [GradNorm(), DWA()], ids=lambda one: type(one).__name__)
def test_shares_of_a_loss_below_0_are_refused(aggregate: Any) -> None:
    """A loss that starts at -2 and ends at -4 is better, and no ratio says so."""
    given = {"a": torch.from_numpy(gradients(2))}
    aggregate(given, torch.tensor([0.0, 1.0]), aggregate.init(0))
    with pytest.raises(MetatlError, match=r"loss 2 of 2 is -2, .* losses of 0 or more"):
        aggregate(given, torch.tensor([1.0, -2.0]), aggregate.init(0))
