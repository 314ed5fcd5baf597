"""Intervals of real targets are judged in the targets' own units, by the rows that say them alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metatl.objectives.predictive import Predictive
from metatl.transferring.covered import covered
from metatl.transferring.judging import Scale, judge


def test_coverage_and_interval_score_are_those_of_the_formulas() -> None:
    generator = torch.Generator().manual_seed(0)
    y = 7 + 3 * torch.randn(200, 1, generator=generator)
    scale = Scale.of(y)
    mean, variance = torch.zeros(200, 1), torch.full((200, 1), 0.25)
    told = scale.told(Predictive(mean, variance))
    found = judge(told.mean, y, told.variance).also
    half = 1.959964 * 0.5 * float(scale.deviation)
    off = (y - y.mean()).abs().numpy()
    assert found["coverage"] == pytest.approx(float((off <= half).mean()), abs=1e-5)
    assert found["interval score"] == pytest.approx(
        2 * half + 40 * float(np.clip(off - half, 0, None).mean()), rel=1e-4
    )
    plain = judge(told.mean, y).also
    assert "coverage" not in plain
    assert plain == {name: value for name, value in found.items() if name in plain}


def test_the_table_names_rows_with_intervals_alone() -> None:
    also = {"coverage": 0.934, "interval score": 2.5}
    rows = [
        {"method": "bayes", "labelled": 5, "also": also},
        {"method": "ridge", "labelled": 5, "also": {"R2": 0.5}},
    ]
    said, table = covered(rows, [5, "all"], ["5 rows", "all rows"])
    assert table.splitlines()[2:] == ["| bayes | 93.4 (2.5) |  |"]
    assert covered(rows[1:], [5], ["5 rows"]) == []
    assert "95" in said
