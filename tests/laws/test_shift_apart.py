"""Single columns of two domains: how far apart their distributions lie."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn")

from metatl.shifts.apart import areas, distances, furthest, telling

DRAW = np.random.default_rng(0).normal(size=(400, 2))


def test_a_column_that_is_moved_lies_as_far_apart_as_it_was_moved() -> None:
    moved = DRAW + np.array([0.0, 3.0])
    spread = np.concatenate([DRAW, moved]).std(0)
    np.testing.assert_allclose(distances(DRAW, moved) * spread, [0.0, 3.0], atol=1e-12)


def test_distances_have_no_unit_and_no_direction() -> None:
    other = np.random.default_rng(1).normal(0.3, 2.0, size=(150, 2))
    one = distances(DRAW, other)
    np.testing.assert_allclose(distances(other * 1000 + 7, DRAW * 1000 + 7), one, rtol=1e-9)


def test_a_change_of_spread_is_far_apart_where_an_area_sees_nothing() -> None:
    symmetric = np.concatenate([DRAW, -DRAW])
    wider = symmetric * np.array([1.0, 4.0])
    np.testing.assert_allclose(areas(symmetric, wider), 0.5, atol=1e-12)
    found = furthest(symmetric, wider, ("same", "wider"))
    assert [one["input"] for one in found] == ["wider", "same"]
    assert found[0]["distance"] > 0.5
    assert found[1]["distance"] == pytest.approx(0.0, abs=1e-12)


def test_columns_without_spread_are_no_distance_apart() -> None:
    one = np.zeros((30, 2))
    assert distances(one, one[:20]).tolist() == [0.0, 0.0]


def test_the_column_that_tells_best_is_named_first_whichever_way_it_lies() -> None:
    lower = DRAW - np.array([0.0, 9.0])
    assert telling(DRAW, lower, ("age", "batch"))[0] == {"input": "batch", "area": pytest.approx(1.0)}
