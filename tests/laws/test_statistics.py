"""Intervals that cover what they promise and agree with the test beside them; none where nothing varies."""

from __future__ import annotations

import numpy as np
import pytest

from metatl.evaluation.crossed import crossed
from metatl.evaluation.statistics import Estimate, estimate, paired, shown

FEW = (2, 3, 5, 10)


def covering(n: int, times: int = 4000, seed: int = 0) -> float:
    """Share of intervals over n normal values that hold their mean of 0."""
    values = np.random.default_rng([seed, n]).normal(size=(times, n))
    found = [estimate(row) for row in values]
    return float(np.mean([abs(one.mean) <= (one.ci95 or 0.0) for one in found]))


@pytest.mark.parametrize("n", FEW)
def test_intervals_cover_at_every_n(n: int) -> None:
    assert 0.94 <= covering(n) <= 0.96


def agree(found: Estimate) -> bool:
    """Whether the interval leaves out 0 exactly where the test says so."""
    if found.ci95 is None or found.p is None:
        return found.ci95 is None and found.p is None and not shown(found.p)
    return (abs(found.mean) > found.ci95) == (found.p < 0.05) == shown(found.p)


def test_interval_and_test_agree() -> None:
    """12,000 pairs of few episodes: normal losses, and accuracies of five queries, many of them equal."""
    rng = np.random.default_rng(0)
    for n in (2, 3, 4, 5, 7, 10):
        for _ in range(1000):
            shift = rng.choice([0.0, 0.5, 1.5])
            assert agree(paired(rng.normal(size=n) + shift, rng.normal(size=n)))
            assert agree(paired(rng.integers(0, 6, n) / 5, rng.integers(0, 6, n) / 5))


@pytest.mark.parametrize("kind", [np.float64, np.float32])
def test_nothing_is_said_where_nothing_varies(kind: type) -> None:
    """-50.00 +- 0.00, p < 0.001 from two episodes; differences of 0.2 that rounding makes unequal too."""
    for a, b in [([0.2, 0.2], [0.7, 0.7]), ([0.3, 0.9, 0.6], [0.1, 0.7, 0.4]), ([0.8], [0.1])]:
        one, other = (np.array(scores, kind).astype(np.float64) for scores in (a, b))
        found = estimate(one - other) if len(a) == 1 else paired(one, other)
        assert (found.ci95, found.p) == (None, None)
        assert found.mean == pytest.approx(a[0] - b[0])
    assert estimate([0.25]) == Estimate(0.25, None, None, 1)
    assert estimate([0.25, 0.25]) == Estimate(0.25, 0.0, None, 2)
    assert estimate([1e-9, 2e-9]).ci95 is not None  # small, and yet it varies


def drawn(rng: np.random.Generator, draws: int, rows: int, spread: float, guided: float = 0.0) -> np.ndarray:
    """Rows named rightly with a chance that depends on the draw and on the row; [2, draws, rows]."""
    odds = 1.0 + spread * rng.normal(size=(draws, 1)) + 1.5 * rng.normal(size=(1, rows))
    chances = 1 / (1 + np.exp(-np.stack([odds + guided, odds])))
    return (rng.random((2, draws, rows)) < chances).astype(float)


def truth(spread: float, guided: float) -> np.ndarray:
    """What the mean over all draws and rows of both is: by Gauss and Hermite."""
    at, weight = np.polynomial.hermite_e.hermegauss(64)
    odds = 1.0 + guided + np.hypot(spread, 1.5) * at
    return float(weight @ (1 / (1 + np.exp(-odds))) / weight.sum())


@pytest.mark.parametrize("spread", [0.3, 1.0])
@pytest.mark.parametrize("rows", [10, 50, 150])
@pytest.mark.parametrize("draws", [1, 2, 3, 10])
def test_intervals_over_draws_and_rows_cover(draws: int, rows: int, spread: float) -> None:
    """At least 91 of 100, at a nominal 95; the percentile bootstrap held 74 with 2 draws, 80 with 3."""
    rng, times = np.random.default_rng([draws, rows]), 400
    target = truth(spread, 0.4), truth(spread, 0.4) - truth(spread, 0.0)
    held = [0, 0]
    for _ in range(times):
        both = drawn(rng, draws, rows, spread, 0.4)
        for place, found in enumerate((crossed(both[0]), crossed(both[0] - both[1], -1.0))):
            if draws < 3:
                assert found.ci95 is None
            elif found.ci95 is not None:
                held[place] += found.ci95[0] <= target[place] <= found.ci95[1]
                assert (found.p is None) == (place == 0)
                if found.p is not None:
                    assert (found.ci95[0] > 0 or found.ci95[1] < 0) == (found.p < 0.05)
            else:
                held[place] += 1
    assert draws < 3 or min(held) >= 0.91 * times


@pytest.mark.parametrize("rows", [10, 50, 150])
def test_all_labels_are_one_draw_and_rows_alone_vary(rows: int) -> None:
    """Exactly, over all numbers of rows that are named rightly: Wilson's interval with Student's t."""
    from scipy.stats import binom

    found = [crossed((np.arange(rows) < k).astype(float)[None], whole=True) for k in range(rows + 1)]
    for chance in (0.5, 0.8, 0.95):
        held = [one.ci95 is not None and one.ci95[0] <= chance <= one.ci95[1] for one in found]
        assert binom.pmf(np.arange(rows + 1), rows, chance) @ held >= 0.93
        assert found[-1].ci95 is not None
        assert found[-1].ci95[0] < 1 - 2 / rows < found[-1].ci95[1] == pytest.approx(1.0)


def test_a_difference_that_does_not_vary_has_no_interval() -> None:
    same = np.ones((5, 40))
    assert crossed(same - same, -1.0).ci95 is None
    assert crossed(same - same, -1.0).p is None
    assert crossed(np.full((5, 40), 1.0), -1.0).p is None
    assert crossed(np.array([[1.0], [0.0], [1.0]])).ci95 is None  # one row


def test_draws_that_are_judged_on_rows_of_their_own() -> None:
    """Folds: every row is in one draw, so that draws hold all there is to vary."""
    rng = np.random.default_rng(3)
    table = np.full((5, 50), np.nan)
    for draw in range(5):
        table[draw, draw::5] = rng.random(10) < 0.5 + 0.1 * draw
    shares = np.nanmean(table, axis=1)
    found, plain = crossed(table), estimate(shares)
    assert found.mean == pytest.approx(plain.mean)
    assert found.ci95 is not None
    assert plain.ci95 is not None
    assert 0.5 < (found.ci95[1] - found.ci95[0]) / (2 * plain.ci95) < 1.2


def test_values_without_bounds_of_one_draw_have_student_s_interval_over_rows() -> None:
    values = np.random.default_rng(0).normal(5.0, 3.0, 12)
    plain, found = estimate(values), crossed(values[None], None, whole=True)
    assert plain.ci95 is not None
    assert plain.p is not None
    assert found.mean == pytest.approx(plain.mean)
    assert found.ci95 == pytest.approx((plain.mean - plain.ci95, plain.mean + plain.ci95))
    assert found.p == pytest.approx(plain.p)
    assert crossed(np.full((4, 9), 2.5), None).ci95 is None, "nothing varies"


@pytest.mark.parametrize(("of_draws", "of_rows"), [(1.0, 0.3), (0.3, 1.0), (0.5, 0.5)])
def test_the_interval_of_values_without_bounds_covers(of_draws: float, of_rows: float) -> None:
    """Draws crossed with rows, both of which are drawn anew: the true mean is held in 90 to 100 %."""
    rng, held, times = np.random.default_rng(1), 0, 600
    for _ in range(times):
        draws, rows = of_draws * rng.normal(size=(5, 1)), of_rows * rng.normal(size=(1, 40))
        found = crossed(7.0 + draws + rows + 0.5 * rng.normal(size=(5, 40)), None)
        assert found.ci95 is not None
        held += found.ci95[0] <= 7.0 <= found.ci95[1]
    assert 0.90 * times <= held <= times
