"""Statistics of a transfer: intervals that count draws and photos, p-values, harm."""

from __future__ import annotations

import numpy as np
import pytest

from metatl.evaluation.crossed import Range
from metatl.evaluation.scores import SCORES
from metatl.transferring import tables
from metatl.transferring.scores import difference, interval, matrix, mean, rounded, worse

ACCURACY = SCORES["accuracy"]


def test_an_accuracy_and_a_difference_in_percent() -> None:
    """Without draws the interval is Wilson's, with t for the normal."""
    right = (np.arange(400) < 320).astype(float)[None]
    found = interval(ACCURACY, right, whole=True)
    half = 196.6 * np.sqrt(0.8 * 0.2 / 400)
    assert found.mean == pytest.approx(80)
    assert found.ci95 == pytest.approx((80 - half, 80 + half), abs=0.5)
    gap = difference(ACCURACY, right, right[:, ::-1], whole=True)
    assert gap.mean == pytest.approx(0)
    assert gap.ci95 == pytest.approx((-196.6 * np.sqrt(0.4 / 400), 196.6 * np.sqrt(0.4 / 400)), abs=0.5)
    assert gap.p == pytest.approx(1.0)


@pytest.mark.parametrize("draws", [1, 2])
def test_one_or_two_draws_have_no_interval_over_draws(draws: int) -> None:
    right = np.ones((draws, 9))
    right[:, :3] = 0
    assert interval(ACCURACY, right, whole=False) == Range(pytest.approx(100 * 2 / 3), None, None)
    assert interval(ACCURACY, right, whole=True).ci95 is not None


def test_p_is_small_with_a_clear_difference_and_large_with_an_even_one() -> None:
    rng = np.random.default_rng(1)
    clear = (rng.random((5, 200)) < 0.3).astype(float)
    assert (difference(ACCURACY, clear, np.zeros((5, 200)), whole=False).p or 1) < 1e-3
    even = rng.choice([0.0, 1.0], (5, 200))
    assert (difference(ACCURACY, even, even[:, ::-1], whole=False).p or 0) > 0.9


def test_an_interval_of_squared_errors_ends_at_0_and_their_difference_does_not() -> None:
    errors = np.array([[0.1, 0.2], [0.1, 0.3], [9.0, 11.0]])
    found, gap = interval(SCORES["MSE"], errors, False), difference(SCORES["MSE"], errors, 0 * errors, False)
    assert found.ci95 is not None
    assert gap.ci95 is not None
    assert gap.ci95[0] < 0 == found.ci95[0]
    assert found.ci95[1] == gap.ci95[1]


def test_bold_is_the_best_of_the_rows_with_most_draws() -> None:
    row = {"method": "a", "labelled": 5, "score": 80.0, "draws": 10}
    rows = [row, {**row, "method": "b", "score": 70.0}, {**row, "method": "c", "score": 95.0, "draws": 3}]
    for better, wanted in (("higher", 80.0), ("lower", 70.0)):
        assert tables._best(rows, 5, {"better": better}) == wanted  # pyright: ignore[reportPrivateUsage]
    assert tables._best(rows, 1, {"better": "higher"}) is None  # pyright: ignore[reportPrivateUsage]


def test_photos_that_do_not_judge_do_not_count() -> None:
    first = (np.array([0, 1]), np.array([1.0, 0.0]))
    second = (np.array([2, 3]), np.array([1.0, 1.0]))
    table = matrix([first, second], 5)
    assert mean(table) == 0.75
    assert np.isnan(table[:, 4]).all()
    assert interval(ACCURACY, table, whole=True).mean == 75


def test_harm_is_the_share_of_draws_below_the_reference() -> None:
    row = np.array([[1.0, 0, 0], [1, 1, 0], [1, 1, 1]])
    reference = np.array([[1.0, 1, 0], [0, 1, 1], [1, 1, 1]])
    assert worse(ACCURACY, row, reference) == pytest.approx(100 / 3)


def test_numbers_of_reports_are_rounded() -> None:
    assert rounded((1.005, -0.001)) == [1.0, 0.0]
    assert rounded(None) is None
