"""Sparse matrices in npz files, names numbered from 1, and what a prediction calls its row."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from metatl import MetatlError
from metatl.data.table_rows import table_examples
from metatl.data.tables import read_table
from metatl.data.tables.columns import Columns, as_text

DENSE = np.array([[0, 2, 0], [0, 0, 0], [1, 0, 3]])
ROW_PARTS: dict[str, Any] = {
    "indptr": np.array([0, 1, 1, 3]),
    "indices": np.array([1, 0, 2], np.uint16),
    "values": np.array([2, 1, 3], np.uint8),
    "y": np.array([-1, 1, 1]),
}


def saved(place: Path, **held: Any) -> Path:
    np.savez(place / "a.npz", **held)
    return place / "a.npz"


@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_a_sparse_matrix_is_its_columns(tmp_path: Path, layout: str) -> None:
    """As scipy holds it, with its shape; and rows with their number of columns alone."""
    made = getattr(sparse, f"{layout}_array")(DENSE)
    parts = {
        "data": made.data,
        "indices": made.indices,
        "indptr": made.indptr,
        "shape": np.array(DENSE.shape),
    }
    found = read_table(saved(tmp_path, **parts, format=np.array(layout.encode()), y=ROW_PARTS["y"]))
    wide = read_table(saved(tmp_path, **ROW_PARTS, n_features=np.array(4), word=np.array(list("abcd"))))
    for table, names in ((found, ["x0", "x1", "x2"]), (wide, ["a", "b", "c"])):
        np.testing.assert_array_equal(np.stack([table[name] for name in names], 1), DENSE)
        assert table["y"].tolist() == [-1, 1, 1]
    assert list(wide) == ["a", "b", "c", "d", "y"]
    assert not wide["d"].any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"indptr": np.array([0, 3, 1, 3])},
        {"indptr": np.array([0, 1, 1, 9])},
        {"indices": np.array([1, 0])},
        {"indices": np.array([1, 0, 7]), "n_features": np.array(3)},
        {"shape": np.array([1 << 40, 1 << 20])},
        {"format": np.array("bsr")},
        {"x": np.zeros((3, 2))},
    ],
)
def test_parts_that_do_not_fit_together_are_one_line(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(MetatlError, match="indptr") as told:
        read_table(saved(tmp_path, **(ROW_PARTS | wrong)))
    assert "\n" not in str(told.value)


def test_numbers_from_one_on_are_named_too(tmp_path: Path) -> None:
    file = saved(tmp_path, x=np.zeros((4, 2)), y=np.array([1, 3, 2, 3]), classes=np.array(["a", "b", "c"]))
    assert read_table(file)["y"].tolist() == ["a", "c", "b", "c"]
    file = saved(tmp_path, x=np.zeros((4, 2)), y=np.array([1, 3, 2, 3]), classes=np.array(list("abcd")))
    assert read_table(file)["y"].tolist() == [1, 3, 2, 3], "four names for three numbers"


def test_a_column_that_calls_rows_alike_does_not_name_them() -> None:
    table = {"part": [0, 0, 1, 1], "id": list("pqrs"), "x": [1, 2, 3, 4], "y": list("abab")}
    by = [table_examples(table, "y", drop=drop)[0] for drop in (["part", "id"], ["id", "part"])]
    assert [[*found.inputs.ids] for found in by] == [["1", "2", "3", "4"], ["p", "q", "r", "s"]]


def test_a_missing_target_names_the_columns_of_the_file_alone(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match="no column 'outcome'") as told:
        table_examples({"a": [1, 2], "b": [1, 2]}, "outcome")
    assert str(told.value).endswith("known: a, b")


def test_digests_are_of_every_value_as_text() -> None:
    """Whatever is written once or often: models and kept cells of before name these."""
    arrays: dict[str, Any] = {
        "b": np.array(["x", None, "", "x"], object),
        "a": np.array([0.0, -0.0, np.nan, 1.5]),
        "c": np.array([True, False, True, True]),
        "d": np.array(["2024-01-01", "NaT", "2024-01-01", "NaT"], "datetime64[s]"),
    }
    texts = [["\x00" if one is None else one for one in as_text(arrays[name])] for name in "abcd"]
    rows = ["\x1f".join(["a\x1fb\x1fc\x1fd", *row]) for row in zip(*texts, strict=True)]
    assert Columns(arrays).digests() == [hashlib.sha256(row.encode()).hexdigest() for row in rows]
