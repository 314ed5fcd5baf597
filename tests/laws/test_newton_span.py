"""Rows in coordinates of their span give the rows again, however small their unit is."""

from __future__ import annotations

import numpy as np
import pytest

from metatl.adapt.solvers import newton


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e6])
def test_coordinates_times_directions_are_the_rows(unit: float) -> None:
    x = unit * np.random.default_rng(0).normal(size=(2, 4, 7))
    inside, directions = newton._span(x, np.full((2, 4), 0.25))  # pyright: ignore[reportPrivateUsage]
    np.testing.assert_allclose(inside @ directions / unit, x / unit, atol=1e-6)
