"""Estimates, discrepancies and density ratios of two domains hang neither on units nor on where 0 lies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metatl.affinity.matrix import _rounded as rounded  # pyright: ignore[reportPrivateUsage]
from metatl.density_ratio import KLIEP, KMM, ULSIF, DensityRatio
from metatl.density_ratio.ratio import median_distance
from metatl.estimates import h_score, logme, nearest_neighbour, parc
from metatl.objectives.mmd import squared_discrepancy
from metatl.shifts.classifier import reduced

UNITS = [1e-8, 1e-3, 1e3, 1e6]
WIDTHS = (0.5, 1.0, 2.0)


def rows(n: int, d: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=(n, d))


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("estimate", [logme, h_score, nearest_neighbour, parc])
@pytest.mark.parametrize("size", [(60, 8), (20, 40)])
def test_an_estimate_does_not_hang_on_the_features_unit(
    size: tuple[int, int], estimate: Callable[..., float], unit: float
) -> None:
    f = rows(*size)
    y = (f[:, 0] + rows(size[0], 1, 1)[:, 0] > 0).astype(np.int64)
    assert estimate(unit * f, y) == pytest.approx(estimate(f, y), rel=1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_the_evidence_of_real_targets_follows_their_unit(unit: float) -> None:
    """A density of c y is that of y over c."""
    f = rows(60, 8)
    y = f[:, 0] + rows(60, 1, 1)[:, 0]
    assert logme(f, unit * y) == pytest.approx(logme(f, y) - np.log(unit), abs=1e-9)
    assert np.isfinite(logme(f, 0.0 * y))


@pytest.mark.parametrize("estimate", [h_score, nearest_neighbour, parc])
def test_an_estimate_does_not_hang_on_where_features_lie(estimate: Callable[..., float]) -> None:
    f = np.round(rows(60, 8), 2)
    y = (f[:, 0] > 0).astype(np.int64)
    assert estimate(f + 1e8, y) == pytest.approx(estimate(f, y), rel=1e-5)


@pytest.mark.parametrize(("unit", "start"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e4)])
def test_mmd_of_single_precision_is_that_of_double(unit: float, start: float) -> None:
    x, y = ((torch.from_numpy(rows(n, 5, n)) * unit + start).float() for n in (20, 30))
    wanted = squared_discrepancy(x.double() - start, y.double() - start, WIDTHS)
    assert float(squared_discrepancy(x, y, WIDTHS)) == pytest.approx(float(wanted), abs=1e-5)


@pytest.mark.parametrize("unbiased", [True, False])
def test_mmd_counts_a_row_of_weight_k_as_k_rows_and_one_of_weight_0_as_none(unbiased: bool) -> None:
    """Also in the mean distance that kernels are wide by."""
    x, y = torch.from_numpy(rows(6, 3)), torch.from_numpy(rows(5, 3, 1)) + 1
    k = torch.tensor([3, 0, 1, 2, 1, 1])
    x[1] = 50.0
    found = squared_discrepancy(x, y, WIDTHS, unbiased, (k.double(), None))
    wanted = squared_discrepancy(x.repeat_interleave(k, 0), y, WIDTHS, unbiased)
    assert float(found) == pytest.approx(float(wanted), rel=1e-9)


def test_mmd_of_one_row_is_a_number_whose_gradient_is_that_of_the_biased_one() -> None:
    found = list[Tensor]()
    for unbiased in (True, False):
        x = torch.from_numpy(rows(1, 3)).requires_grad_()
        value = squared_discrepancy(x, torch.from_numpy(rows(5, 3, 1)), WIDTHS, unbiased)
        found += torch.autograd.grad(value, x)
    assert bool(found[0].isfinite().all())
    assert float(found[0].abs().max()) > 1e-6
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("ratio", [KLIEP(), ULSIF(), KMM()], ids=lambda one: type(one).__name__)
@pytest.mark.parametrize(("unit", "start"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e6)])
@pytest.mark.parametrize("equal", [0, 35])
def test_density_ratios_hang_neither_on_units_nor_on_where_rows_lie(
    ratio: DensityRatio, unit: float, start: float, equal: int
) -> None:
    """Also where most rows are one."""
    source, target = (torch.from_numpy(np.round(m + rows(40, 2, i), 3)) for i, m in enumerate((0.0, 0.7)))
    source[:equal], target[:equal] = 0.0, 0.0
    wanted = ratio.weights(source, target)
    found = ratio.weights(unit * source + start, unit * target + start)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


def test_the_median_distance_of_mostly_equal_rows_is_that_of_the_others() -> None:
    x = torch.zeros(9, 1)
    x[8] = 1e-3
    assert median_distance(x) == pytest.approx(1e-3)
    assert median_distance(torch.zeros(9, 1)) == median_distance(torch.ones(1, 1)) == 1.0


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e12])
def test_domains_are_compared_in_columns_of_any_unit_beside_each_other(unit: float) -> None:
    x = rows(40, 3)
    constant = np.concatenate([x * [1.0, unit, 1.0], np.full((40, 1), 1e9 + 0.1)], 1)
    for one, other in zip(reduced(constant[:20], constant[20:]), reduced(x[:20], x[20:]), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_errors_of_an_affinity_keep_their_digits(unit: float) -> None:
    values = torch.tensor([[0.123456789, 3.0]], dtype=torch.float64) * unit
    np.testing.assert_allclose(rounded(values), values, rtol=1e-6)
