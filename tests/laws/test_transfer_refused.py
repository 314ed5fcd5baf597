"""A row that refuses in the middle of the work: the others go on without it, and the table says why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

import metatl
from metatl import MetatlError
from metatl.adapt.solvers import NearestCentroid

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

ROW = """
base: nearest-centroid
adaptation:
  class_path: ClosedForm
  init_args:
    solver: {{class_path: tests.laws.test_transfer_refused.AtMost, init_args: {{most: {most}}}}}
"""


@dataclass(frozen=True)
class AtMost(NearestCentroid):
    """Centroids of so many rows at most."""

    most: int = 8

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Any:
        if len(y) > self.most:
            raise MetatlError(f"{len(y)} rows are more than {self.most}")
        return super().fit(features, y, outputs, weight)


def found(folder: Path, most: int, *others: str) -> metatl.Transferring:
    """A table of two classes at 2, 10 and all labels, with a row that refuses more than `most` rows."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    x = (rng.normal(size=(60, 3)) + 2 * y[:, None]).astype(np.float32)
    np.savez(folder / "rows.npz", x=x, y=y)
    row = folder / "small.yaml"
    row.write_text(ROW.format(most=most), encoding="utf-8")
    return metatl.transfer(
        folder / "rows.npz",
        methods=[str(row), *others],
        words=metatl.Words(target="y"),
        labelled="2,10,all",
        draws=2,
        minutes=1,
        out=folder / "out",
    )


def test_the_others_go_on(tmp_path: Path) -> None:
    made = found(tmp_path, 8, "logistic-regression", "ridge")
    done = {(row["method"], row["labelled"]) for row in made.report["rows"]}
    assert ("small", 2) in done
    assert not done & {("small", 10), ("small", "all")}
    assert {("ridge", k) for k in (2, 10, "all")} <= done
    notes = " ".join(made.report["protocol"]["notes"])
    assert "small stopped: 20 rows are more than 8" in notes
    assert made.report["protocol"]["saved"]["method"] != "small"
    assert "small" in made.report["protocol"]["saved"]["how"]


def test_a_reference_that_refuses_ends_nothing(tmp_path: Path) -> None:
    made = found(tmp_path, 100, "nearest-centroid")
    assert {row["method"] for row in made.report["rows"]} >= {"small", "nearest-centroid"}


def test_where_all_refuse_it_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise MetatlError("no such numbers")

    monkeypatch.setattr("metatl.transferring.study.Study.cells", refuse)
    with pytest.raises(MetatlError, match=r"small stopped: no such numbers") as error:
        found(tmp_path, 8, "ridge")
    assert "\n" not in str(error.value)
