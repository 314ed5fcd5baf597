"""Several targets of one table, in units far from 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from metatl.data import SeveralTargets
from metatl.data.tables import read_table
from metatl.data.tables.gaps import over_all_rows
from metatl.multitasking import study
from metatl.multitasking.fit import FittedCell, NetBudget, drawn
from metatl.multitasking.problem import read

VALUES = np.random.default_rng(0).normal(size=(60, 3))


def written(folder: Path, unit: float, start: float = 0.0) -> Path:
    """A table of 60 rows with a real target of this unit, every tenth missing, and two classes."""
    lines = ["x,big,kind"]
    for i, (x, y, z) in enumerate(VALUES):
        big = "" if i % 10 == 0 else f"{start + unit * (x + 0.1 * y):.17g}"
        lines.append(f"{x:.6f},{big},{'ab'[int(z > 0)]}")
    (folder / "parts.csv").write_text("\n".join(lines) + "\n")
    return folder / "parts.csv"


@pytest.mark.parametrize(("unit", "start"), [(1e-6, 0.0), (1e6, 0.0), (1.0, 1.7e9)])
def test_real_targets_with_gaps_keep_their_digits_until_they_are_standardised(
    tmp_path: Path, unit: float, start: float
) -> None:
    problem = read(written(tmp_path, unit, start), "big,kind", None, ())
    y = problem.y["big"]
    there = ~y.flatten().isnan()
    assert y.dtype == torch.float64
    assert there.tolist() == [i % 10 != 0 for i in range(60)]
    wanted = start + unit * (VALUES[:, :1] + 0.1 * VALUES[:, 1:2])
    np.testing.assert_allclose(y[there], wanted[there.numpy()], rtol=1e-15)
    draw = drawn(problem, 0, NetBudget())
    taught = draw.y["big"][torch.from_numpy(draw.parts["train"])]
    taught = taught[~taught.isnan()]
    assert taught.dtype == torch.float32
    assert float(taught.mean()) == pytest.approx(0, abs=1e-5)
    assert float(taught.std()) == pytest.approx(1, abs=1e-5)
    table = read_table(tmp_path / "parts.csv")
    assert over_all_rows(table, "kind", 5)[1].dtype == torch.int64


def test_targets_of_a_config_are_of_single_precision(tmp_path: Path) -> None:
    data = SeveralTargets(str(written(tmp_path, 1.0)), ("big",), "kind").load()
    y = data.learned.parts["meta_train"].y
    assert isinstance(y, dict)
    assert y["big"].dtype == torch.float32


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_widths_of_quantiles_keep_their_digits(tmp_path: Path, unit: float) -> None:
    problem = read(written(tmp_path, unit), "big", None, ())
    also = {"coverage": 87.5, "nominal": 80.0, "width": 0.123456789 * unit, "off level": 2.5}
    cells = {("single-task", s): FittedCell({"big": 0.3 * unit}, 1.0, {}, {"big": also}) for s in range(3)}
    ways = {"single-task": None}
    row = study.report(problem, ways, cells, {})["rows"][0]  # pyright: ignore[reportArgumentType]
    assert row["width"] == pytest.approx(0.123456789 * unit, rel=1e-5)
    assert (row["coverage"], row["nominal"], row["off level"]) == (87.5, 80.0, 2.5)
    assert row["score"] == pytest.approx(0.3 * unit)
