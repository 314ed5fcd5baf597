"""Tests of what differs between domains: their formulas by hand, their level, what they see."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from metatl.shifts.classifier import reduced
from metatl.shifts.compared import compared
from metatl.shifts.inputs import discrepancy, kernel_of, ordered
from metatl.shifts.targets import counts_differ, label_shift
from metatl.shifts.verdict import shifts

Side = tuple[Any, Any]


def made(n: int, draw: np.random.Generator, kind: str = "none") -> Side:
    """Two classes by the first of three inputs."""
    x = draw.normal(size=(n, 3))
    if kind == "covariate":
        x += (1.0, 0.0, 0.8)
    if kind == "label":
        y = (draw.random(n) < 0.2).astype(np.int64)
        return np.stack([2 * y - 1 + 0.7 * x[:, 0], x[:, 1], x[:, 2]], 1), y
    sign = -1 if kind == "concept" else 1
    return x, (sign * x[:, 0] + 0.3 * draw.normal(size=n) > 0).astype(np.int64)


def two_classes(n: int, draw: np.random.Generator) -> Side:
    """What `label` is made of, with equal shares."""
    y = (draw.random(n) < 0.5).astype(np.int64)
    x = draw.normal(size=(n, 3))
    return np.stack([2 * y - 1 + 0.7 * x[:, 0], x[:, 1], x[:, 2]], 1), y


def test_the_discrepancy_is_its_sum_over_pairs() -> None:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(5, 2)), draw.normal(size=(7, 2)) + 1
    kernel = kernel_of(np.concatenate([x, y]))
    sides = np.array([[0.0] * 5 + [1.0] * 7])
    own = [kernel[i, j] for i in range(5) for j in range(5) if i != j]
    others = [kernel[i, j] for i in range(5, 12) for j in range(5, 12) if i != j]
    by_hand = np.mean(own) + np.mean(others) - 2 * kernel[:5, 5:].mean()
    assert discrepancy(kernel, sides)[0] == pytest.approx(by_hand, rel=1e-12)


def test_ordered_scores_have_the_p_of_scipy() -> None:
    draw = np.random.default_rng(1)
    one, other = draw.integers(0, 9, 40) / 9, draw.integers(1, 10, 50) / 9
    u, mean, spread = ordered(one, other)
    meant: Any = mannwhitneyu(other, one, alternative="two-sided", method="asymptotic", use_continuity=False)
    assert u == meant.statistic
    from scipy.stats import norm

    assert 2 * norm.sf(abs(u - mean) / spread**0.5) == pytest.approx(meant.pvalue, rel=1e-9)


def test_label_shift_is_found_back_where_the_classifier_is_as_good_on_both_sides() -> None:
    """C w = mu exactly, so that w is P_T(y) / P_S(y) without a ridge."""
    says = np.array([[0.8, 0.1, 0.2], [0.1, 0.7, 0.1], [0.1, 0.2, 0.7]])  # P(named | class)
    source, target = np.array([0.5, 0.3, 0.2]), np.array([0.2, 0.2, 0.6])
    found = label_shift(says * source, says @ target, 0.0)
    np.testing.assert_allclose(found, target / source, rtol=1e-9)
    assert label_shift(says * source, np.array([1.0, 0.0, 0.0]), 0.0).min() == 0


def test_counts_have_the_p_of_the_exact_distribution() -> None:
    """Two classes: Fisher's hypergeometric distribution, with ties in chi-squared as equally far."""
    from scipy.stats import hypergeom

    source, target = np.repeat([0, 1], [9, 3]), np.repeat([0, 1], [4, 8])
    ones = np.arange(12)
    share = hypergeom.pmf(ones, 24, 11, 12)
    far = np.abs(ones - 5.5) >= abs(8 - 5.5) - 1e-9
    draws = [counts_differ("y", source, target, 2, np.random.default_rng(i)).p or 0 for i in range(30)]
    assert np.mean(draws) == pytest.approx(share[far].sum(), abs=0.01)


def test_wide_domains_are_seen_in_their_principal_directions() -> None:
    draw = np.random.default_rng(2)
    x = draw.normal(size=(60, 40)) @ draw.normal(size=(40, 40))
    one, other = reduced(x[:30], x[30:])
    scaled = (x - x.mean(0)) / x.std(0)
    left = np.linalg.svd(scaled, full_matrices=False)[0][:, :16]
    both = np.concatenate([one, other])
    np.testing.assert_allclose(np.abs(both.T @ left / np.sqrt(60)), np.eye(16), atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "names"),
    [("covariate", ("covariate",)), ("label", ("label",)), ("concept", ("concept",)), ("none", ())],
)
def test_a_made_shift_is_named(kind: str, names: tuple[str, ...]) -> None:
    draw = np.random.default_rng(3)
    of = two_classes if kind == "label" else made
    source, target = of(500, draw), made(500, draw, kind)
    found = compared(source[0], target[0], source[1], target[1], 2)
    assert shifts(found) == (names, False)
    assert [found.differs(q) for q in ("P(X)", "P(Y)", "P(X given Y)", "P(Y given X)")] == {
        "covariate": [True, True, True, False],
        "label": [True, True, False, True],
        "concept": [False, False, True, True],
        "none": [False, False, False, False],
    }[kind]


def test_without_labels_of_the_target_their_shares_are_estimated() -> None:
    draw = np.random.default_rng(4)
    source, target = two_classes(600, draw), made(600, draw, "label")
    found = compared(source[0], target[0], source[1], None, 2)
    assert shifts(found) == (("label", "covariate"), True)
    assert found.estimate is not None
    assert found.estimate.target[1] == pytest.approx(target[1].mean(), abs=0.06)
    assert [test.question for test in found.tests] == ["P(X)", "P(X)", "P(Y)"]


def test_domains_without_labels_and_labels_without_inputs() -> None:
    draw = np.random.default_rng(5)
    source, target = made(100, draw), made(100, draw, "covariate")
    alone = compared(source[0], target[0], None, None, 0)
    assert shifts(alone) == (("covariate",), False)
    shares = compared(None, None, np.repeat([0, 1], 50), np.repeat([0, 1], [10, 90]), 2)
    assert shifts(shares) == (("label",), False)


@pytest.mark.slow
def test_halves_of_one_domain_rarely_alarm() -> None:
    """At most 16 of 200 (the lower end of Wilson's interval is below 5 % up to there)."""
    alarms = 0
    for seed in range(200):
        draw = np.random.default_rng(seed)
        x, y = made(300, draw)
        found = compared(x[:150], x[150:], y[:150], y[150:], 2, seed)
        alarms += any(p is not None and p < 0.05 for p in found.corrected)
    assert alarms <= 16
