"""Targets taken out of a table: classes, several labels, real values, and what is refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from metatl.data.table_rows import table_examples
from metatl.data.tables import Columns, read_table, target
from metatl.types import MetatlError

N = 40
TABLE: dict[str, Any] = {
    "word": ["b", "a"] * 19 + [None, "c"],
    "grade": [1.0, 2.0, 3.0, 2.0] * 10,
    "price": np.linspace(1, 9, N),
    "count": np.arange(N),
    "two": [3, 7] * 20,
    "ill": [True, False, False, True] * 10,
    "well": [0, 1, 1, 0] * 10,
    "tags": ["red; green", "blue", None, "green"] * 10,
    "day": np.array(["2024-01-02"] * N, "M8[s]"),
    "same": ["x"] * N,
    "none": [None] * N,
}


@pytest.fixture
def table() -> Columns:
    return read_table(TABLE)


def test_strings_are_classes_and_rows_without_one_are_left_out(table: Columns) -> None:
    found, rest = target(table, "word")
    assert (found.kind, found.names, found.outputs) == ("classes", ("a", "b", "c"), 3)
    assert found.values.tolist() == [1, 0] * 19 + [2]
    assert rest.rows == 39
    assert "word" not in rest
    assert rest["count"].tolist() == [*range(38), 39]
    assert rest.line(38) == 40
    assert any("1 of 40 rows have no word" in note and "row 39 the first" in note for note in rest.notes)


@pytest.mark.parametrize(
    ("name", "kind", "names"),
    [
        ("grade", "classes", ("1", "2", "3")),
        ("two", "classes", ("3", "7")),
        ("ill", "classes", ("no", "yes")),
        ("price", "real", ("price",)),
        ("count", "real", ("count",)),
        ("ill,well", "labels", ("ill", "well")),
        ("price, count", "real", ("price", "count")),
    ],
)
def test_what_targets_are(table: Columns, name: str, kind: str, names: tuple[str, ...]) -> None:
    found, rest = target(table, name)
    assert (found.kind, found.names) == (kind, names)
    parts = [part.strip() for part in name.split(",")]
    assert not {*parts} & {*rest}
    shape, dtype = {
        "classes": ((N,), torch.int64),
        "labels": ((N, 2), torch.bool),
        "real": ((N, len(parts)), torch.float64),
    }[kind]
    assert (tuple(found.values.shape), found.values.dtype) == (shape, dtype)
    if kind != "classes":
        expected = np.stack([np.asarray(TABLE[part]) for part in parts], 1)
        np.testing.assert_allclose(found.values.numpy(), expected, rtol=1e-6)


def test_the_kind_can_be_asked_for(table: Columns) -> None:
    assert target(table, "grade", kind="real")[0].kind == "real"
    assert target(table, "count", kind="classes")[0].outputs == N
    assert target(table, "ill", kind="labels")[0].values.shape == (N, 1)
    assert target(table, "ill,well", kind="real")[0].kind == "real"


def test_whole_numbers_are_classes_only_with_five_rows_for_each() -> None:
    few = read_table({"x": np.arange(14), "y": [0, 1, 2] * 4 + [0, 1]})
    assert target(few, "y")[0].kind == "real"
    assert target(read_table({"x": np.arange(15), "y": [0, 1, 2] * 5}), "y")[0].kind == "classes"
    many = read_table({"y": np.arange(210) % 21, "x": np.arange(210)})
    assert target(many, "y")[0].kind == "real"


def test_lists_of_labels(table: Columns) -> None:
    found, rest = target(table, "tags", several=";")
    assert (found.kind, found.names) == ("labels", ("blue", "green", "red"))
    assert found.values[:3].tolist() == [[False, True, True], [True, False, False], [False, True, False]]
    assert rest.rows == 30


def test_one_value_that_is_no_number_makes_no_classes(tmp_path: Any) -> None:
    """Of many different numbers; where they are few and come again, or most are words, they are classes."""
    values = [f"{i / 7:.3f}" for i in range(60)]
    file = tmp_path / "t.csv"
    file.write_text("a,y\n" + "".join(f"{i},{v}\n" for i, v in enumerate([*values, "inf"])))
    with pytest.raises(
        MetatlError, match=r"'inf' \(.*line 62\) is no number, as other values of target y are"
    ):
        target(read_table(file), "y")
    file.write_text("a,y\n" + "".join(f"{i},{i % 3 or 'none'}x\n" for i in range(60)))
    assert target(read_table(file), "y")[0].kind == "classes"


def test_yes_and_no_with_gaps_are_no_whole_numbers(tmp_path: Any) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,y\n" + "".join(f"{i},{('yes', 'no', '')[i % 3]}\n" for i in range(30)))
    found, rest = target(read_table(file), "y")
    assert set(found.names) == {"yes", "no"}
    assert not any("whole numbers" in note for note in rest.notes)


def test_booleans_keep_their_spelling(tmp_path: Any) -> None:
    path = tmp_path / "t.csv"
    path.write_text("x,y\n1,Yes\n2,No\n")
    assert target(read_table(path), "y")[0].names == ("No", "Yes")


@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("words", {}, "nearest: word"),
        ("word,pric", {}, "nearest: price"),
        ("none", {}, "no value in any row"),
        ("same", {}, "one class only, 'x'"),
        ("day", {}, "is a date"),
        ("word,price", {}, "'word' holds words"),
        ("word", {"kind": "real"}, "real targets are numbers"),
        ("price,count", {"kind": "labels"}, "yes and no"),
        ("tags,word", {"several": ";"}, "one column"),
        ("ill,ill", {}, "twice"),
    ],
)
def test_what_no_target_can_be_is_one_line(table: Columns, name: str, more: Any, said: str) -> None:
    with pytest.raises(MetatlError, match=said):
        target(table, name, **more)


def test_classes_that_are_spelt_in_two_ways_are_told() -> None:
    def notes(*classes: str) -> tuple[str, ...]:
        return target(read_table({"x": np.arange(4), "y": [*classes]}), "y")[1].notes

    (said,) = notes("ill", "well", "Ill", "well")
    assert said.startswith("target y has the classes 'Ill' and 'ill', which differ in case or spaces alone")
    assert "'very ill' and 'veryill'" in notes("very ill", "a", "veryill", "a")[0]
    assert notes("ill", "well", "iller", "well") == ()


def test_rows_of_nobody_are_left_out_and_counted() -> None:
    """Nobody knows whose else they are: one group of them all could be labelled and judged at once."""
    held = {"x": np.arange(8), "y": ["a", "b"] * 4, "who": ["p", None, "p", "q", "q", "q", "", "r"]}
    found, rest = table_examples(held, "y", group="who")
    assert found.group is not None
    assert found.group.tolist() == ["p", "p", "q", "q", "q", "r"]
    assert rest["x"].tolist() == [0, 2, 3, 4, 5, 7]
    assert found.inputs.ids == ("1", "3", "4", "5", "6", "8")
    assert "2 of 8 rows have no who and are left out (table row 2 the first)" in found.notes
    apart, _ = table_examples({**held, "day": [1, 1, None, 1, 2, 2, 2, 2]}, "y", group="who", apart="day")
    assert len(apart.inputs) == 5
    with pytest.raises(MetatlError, match="column 'who' has no value in any row"):
        table_examples({**held, "who": [None] * 8}, "y", group="who")
