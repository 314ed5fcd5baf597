"""The density of bars: its mass, mean and quantiles by quadrature."""

from __future__ import annotations

import math

import pytest
import torch

from metatl.objectives import BarDistribution
from metatl.types import MetatlError

BARS = BarDistribution(-2.0, 3.0, 7)
LINE = torch.linspace(-12, 13, 500_001, dtype=torch.float64)


def logits() -> torch.Tensor:
    return torch.randn(1, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def density(output: torch.Tensor) -> torch.Tensor:
    return (-BARS.nll(output.expand(len(LINE), -1), LINE)).exp()[:, 0]


def test_it_is_a_density_with_this_mean_and_variance() -> None:
    output = logits()
    p, step = density(output), float(LINE[1] - LINE[0])
    assert float(p.sum()) * step == pytest.approx(1.0, abs=1e-4)
    mean = float(BARS.mean(output))
    assert float((p * LINE).sum()) * step == pytest.approx(mean, abs=1e-3)
    assert float((p * (LINE - mean) ** 2).sum()) * step == pytest.approx(
        float(BARS.variance(output)), abs=1e-3
    )


@pytest.mark.parametrize("share", [0.01, 0.025, 0.3, 0.5, 0.9, 0.999])
def test_a_quantile_has_that_share_below_it(share: float) -> None:
    output = logits()
    at = float(BARS.quantile(output, share))
    below = float(density(output)[at >= LINE].sum() * (LINE[1] - LINE[0]))
    assert below == pytest.approx(share, abs=1e-4)


def test_all_weight_on_one_bar_is_its_width() -> None:
    output = torch.full((1, 7), -1e9)
    output[0, 3] = 0.0
    assert float(BARS.nll(output, torch.tensor([0.5]))) == pytest.approx(math.log(BARS.width), abs=1e-6)
    assert float(BARS.mean(output)) == pytest.approx(0.5, abs=1e-6)


def test_bad_input_is_one_line() -> None:
    with pytest.raises(MetatlError, match="7 bars, and the net gives 3 outputs"):
        BARS.mean(torch.zeros(2, 3))
    with pytest.raises(MetatlError, match="between 0 and 1; it is 1"):
        BARS.quantile(logits(), 1)
    with pytest.raises(MetatlError, match="lower end"):
        BarDistribution(1.0, 0.0)
