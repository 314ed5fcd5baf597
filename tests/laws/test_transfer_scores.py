"""Statistics of a transfer: intervals that count draws and photos, p-values, harm."""

from __future__ import annotations

import numpy as np
import pytest

from metatl.transferring.scores import accuracy, interval, matrix, resampled, rounded, worse


def test_over_photos_alone_the_interval_is_the_binomial_one() -> None:
    right = (np.arange(400) < 320).astype(float)[None]
    found = interval(right, whole=True)
    half = 196 * np.sqrt(0.8 * 0.2 / 400)
    assert found.mean == pytest.approx(80)
    assert found.ci95 == pytest.approx((80 - half, 80 + half), abs=0.5)


def test_the_spread_counts_draws_and_photos() -> None:
    """For a sum of independent effects the variances add: draws / D plus photos / n."""
    rng = np.random.default_rng(0)
    draws, photos = rng.normal(0, 0.1, 12), rng.normal(0, 0.5, 150)
    values = 0.5 + draws[:, None] + photos[None]
    spread = resampled(values, whole=False).std() / 100
    known = np.sqrt(draws.var() / 12 + photos.var() / 150)
    assert spread == pytest.approx(known, rel=0.05)
    assert resampled(values, whole=True).std() / 100 == pytest.approx(photos.std() / np.sqrt(150), rel=0.05)


@pytest.mark.parametrize("draws", [1, 2])
def test_one_or_two_draws_have_no_interval_over_draws(draws: int) -> None:
    right = np.ones((draws, 9))
    right[:, :3] = 0
    assert interval(right, whole=False) == (interval(right, whole=False).__class__)(
        pytest.approx(100 * 2 / 3), None, None
    )
    assert interval(right, whole=True).ci95 is not None


def test_p_is_one_without_a_difference_and_small_with_a_clear_one() -> None:
    assert interval(np.zeros((5, 40)), whole=False).p == 1.0
    rng = np.random.default_rng(1)
    clear = (rng.random((5, 200)) < 0.3).astype(float)
    assert interval(clear, whole=False).p == pytest.approx(2 / 2001)
    even = rng.choice([-1.0, 1.0], (5, 200))
    even[:, 100:] = -even[:, :100]
    assert (interval(even, whole=False).p or 0) > 0.9


def test_photos_that_do_not_judge_do_not_count() -> None:
    first = (np.array([0, 1]), np.array([1.0, 0.0]))
    second = (np.array([2, 3]), np.array([1.0, 1.0]))
    table = matrix([first, second], 5)
    assert accuracy(table) == 75
    assert np.isnan(table[:, 4]).all()
    assert np.isfinite(resampled(table, whole=False)).all()


def test_harm_is_the_share_of_draws_below_the_reference() -> None:
    row = np.array([[1.0, 0, 0], [1, 1, 0], [1, 1, 1]])
    reference = np.array([[1.0, 1, 0], [0, 1, 1], [1, 1, 1]])
    assert worse(row, reference) == pytest.approx(100 / 3)


def test_the_same_seed_gives_the_same_interval() -> None:
    right = (np.random.default_rng(2).random((4, 30)) < 0.6).astype(float)
    assert interval(right, whole=False, seed=1) == interval(right, whole=False, seed=1)
    assert interval(right, whole=False, seed=1) != interval(right, whole=False, seed=2)
    assert rounded((1.005, -0.001)) == [1.0, 0.0]
