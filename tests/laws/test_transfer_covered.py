"""Intervals of real targets are judged in the targets' own units, by the rows that say them alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metatl.objectives.predictive import Predictive
from metatl.transferring.covered import covered, told
from metatl.transferring.judging import Scale, judge
from metatl.transferring.page import page
from tests.laws.test_html import harmless
from tests.laws.test_transfer_page import found


def test_coverage_and_interval_score_are_those_of_the_formulas() -> None:
    generator = torch.Generator().manual_seed(0)
    y = 7 + 3 * torch.randn(200, 1, generator=generator)
    scale = Scale.of(y)
    mean, variance = torch.zeros(200, 1), torch.full((200, 1), 0.25)
    of = scale.told(Predictive(mean, variance))
    also = judge(of.mean, y, of.variance).also
    half = 1.959964 * 0.5 * float(scale.deviation)
    off = (y - y.mean()).abs().numpy()
    assert also["coverage"] == pytest.approx(float((off <= half).mean()), abs=1e-5)
    assert also["interval score"] == pytest.approx(
        2 * half + 40 * float(np.clip(off - half, 0, None).mean()), rel=1e-4
    )
    plain = judge(of.mean, y).also
    assert "coverage" not in plain
    assert plain == {name: value for name, value in also.items() if name in plain}


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


def test_the_page_has_every_table_that_the_markdown_has() -> None:
    more = found("n")
    own = {"log loss": 0.25, "calibration error": 0.125}
    others = {"coverage": 0.934, "interval score": 2.5, "NLL": -1.25}
    for row, also in zip(more["rows"], (own, others, {**own, "calibration error": None}), strict=True):
        row["also"] = also
    plain = "\n".join(covered(more["rows"], [1, "all"], ["1", "all"]))
    read = harmless(page(more, {}))
    for said, cells in told(more["rows"], [1, "all"]):
        assert said in plain
        assert said in read.texts["p"]
        for cell in {cell for row in cells.values() for cell in row if cell}:
            assert f"| {cell} |" in plain
            assert cell in read.texts["td"]
    assert [[*table.cells.values()] for table in told(more["rows"], [1, "all"])] == [
        [["93.4 (2.5)", ""]],
        [["-1.25", ""]],
        [["0.250 (0.125)", "0.250"]],
    ]
    assert "How sure" not in harmless(page(found("n"), {})).texts["h2"]
