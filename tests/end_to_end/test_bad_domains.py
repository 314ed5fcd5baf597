"""Domains that cannot serve, typed as a user types them: a result with what is missing, or one clear line."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.commands import metatl, refused

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

ROWS = ("--methods", "source-only,coral,subspace-alignment", "--labelled", "0", "--draws", "1")


def table(
    place: Path,
    rows: int,
    seed: int,
    names: Sequence[str] = ("no", "yes"),
    columns: int = 4,
    prefix: str = "c",
) -> Path:
    """Classes apart in the first column."""
    y, draws = np.arange(rows) % len(names), np.random.default_rng(seed)
    x = draws.normal(size=(rows, columns))
    x[:, 0] += 3 * y
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow([*(f"{prefix}{i}" for i in range(columns)), "label"])
        out.writerows([*(f"{v:.5f}" for v in row), names[c]] for row, c in zip(x, y, strict=True))
    return place


def target(folder: Path, rows: int = 24, names: Sequence[str] = ("no", "yes"), columns: int = 4) -> Path:
    table(folder / "train.csv", rows, 1, names, columns)
    table(folder / "test.csv", 12, 2, names, columns)
    return folder


def words(folder: Path) -> tuple[str, ...]:
    return ("--target", "label", *ROWS, "--minutes", "1", "--out", str(folder / "out"))


def test_what_cannot_serve_is_one_line(tmp_path: Path) -> None:
    data, source = target(tmp_path / "t"), table(tmp_path / "s.csv", 40, 0)
    none = table(tmp_path / "none.csv", 0, 0)
    one = table(tmp_path / "one.csv", 20, 0, names=("no",))
    other = table(tmp_path / "other.csv", 40, 0, prefix="z")
    given = words(tmp_path)
    assert "has no row below its names" in refused("transfer", none, "--source", source, *given)
    assert "has one class only, 'no'" in refused("transfer", data, "--source", one, *given)
    assert "--methods dama,shared-latent" in refused("transfer", data, "--source", other, *given)
    assert "rows of the data too" in refused("transfer", data, "--source", data, *given)
    said = ("--target", "label", "--out", tmp_path / "s")
    assert "has no row below its names" in refused("shift", source, none, *said)
    assert "has one class only" in refused("shift", one, source, *said)
    assert "hold the same 40 rows" in refused("shift", source, source, *said)


def test_a_class_that_the_source_never_saw_is_named(tmp_path: Path) -> None:
    data = target(tmp_path / "t", names=("no", "yes", "new"))
    found = metatl("transfer", data, "--source", table(tmp_path / "s.csv", 40, 0), *words(tmp_path))
    assert found.code == 0, found
    assert "The source never saw new: without labels no row names them." in found.out


def test_three_rows_in_five_hundred_columns_are_shrunk_and_it_is_said(tmp_path: Path) -> None:
    data, source = target(tmp_path / "t", 3, columns=500), table(tmp_path / "s.csv", 40, 0, columns=500)
    found = metatl("transfer", data, "--source", source, *words(tmp_path))
    assert found.code == 0, found
    assert "3 rows in 500 dimensions: covariances of the data are shrunk." in found.out
    assert "coral: a covariance of 500 columns from 3 rows, shrunk by 1 I." in found.out
    few = table(tmp_path / "few.csv", 3, 5, columns=500)
    said = refused("shift", source, few, "--target", "label", "--out", tmp_path / "s")
    assert "3 rows; give 20 or more" in said
