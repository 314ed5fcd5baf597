"""Tables from anybody's files: what columns hold, which line a row came from, and what is one clear line."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.data import bounds
from metatl.data.tables import Columns, read_table, target
from metatl.data.tables.formats import NUMBERS, parse
from metatl.data.tables.plan import without_part
from metatl.types import MetatlError

MIXED = """\
id,age,weight,smoker,seen,ward
1,34,"71,5",yes,31.12.2024,A
2,NA,"80",no,01.02.2024,B

3,51,-,Yes,?,"A"
"""


def table(folder: Path, content: str | bytes, name: str = "t.csv", **more: Any) -> Columns:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, **more)


def one(folder: Path, *values: str, **more: Any) -> tuple[Any, str, tuple[str, ...]]:
    """A column of these values, its format and the notes; beside a column of letters."""
    text = "k\tv\n" + "".join(f"{chr(97 + i % 26)}\t{value}\n" for i, value in enumerate(values))
    found = table(folder, text, **more)
    return found["v"].tolist(), found.formats["v"], found.notes


def test_a_file_with_everything(tmp_path: Path) -> None:
    found = table(tmp_path, MIXED)
    assert list(found) == ["id", "age", "weight", "smoker", "seen", "ward"]
    assert found.rows == 3
    np.testing.assert_array_equal(found["age"], [34, np.nan, 51])
    np.testing.assert_array_equal(found["weight"], [71.5, 80, np.nan])
    assert found["smoker"].tolist() == [True, False, True]
    assert [str(day)[:10] for day in found["seen"]] == ["2024-12-31", "2024-02-01", "NaT"]
    assert found["ward"].tolist() == ["A", "B", "A"]
    assert [found.line(i) for i in range(3)] == [2, 3, 5]
    assert found.take([2, 0]).line(0) == 5
    assert found.take(np.array([False, True, False]))["id"].tolist() == [2.0]
    assert found.formats["weight"] == "number 1.234,5"
    assert found.notes == ("column weight: commas are decimal (1,5 is 1.5)",)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_delimiters_and_encodings(tmp_path: Path, delimiter: str, coding: str, end: str) -> None:
    rows = [["naïve", "n"], ['two\nlines, and "quotes"; here', "1"], ["x|y", "2.5"]]
    lines = [delimiter.join('"' + v.replace('"', '""') + '"' for v in row) for row in rows]
    found = table(tmp_path, (end.join(lines) + end).encode(coding), text="naïve")
    assert found["naïve"].tolist() == [rows[1][0], "x|y"]
    assert found["n"].tolist() == [1.0, 2.5]
    assert [found.line(0), found.line(1)] == [2, 4]
    assert bool(found.notes) == (coding == "latin-1")


@pytest.mark.parametrize(
    ("values", "expected", "form"),
    [
        (("1", "", "2.50", "NaN", "-1e3"), [1, None, 2.5, None, -1000], "number"),
        (("1", "N/A", "?", "-", "null", "na"), [1] + [None] * 5, "number"),
        (("1,234", "2,500,000", "7"), [1234, 2.5e6, 7], "number 1,234.5"),
        (("1,234.5", "3"), [1234.5, 3], "number 1,234.5"),
        (("1,5", "0,123"), [1.5, 0.123], "number 1.234,5"),
        (("1.234,5", "1 234,25"), [1234.5, 1234.25], "number 1.234,5"),
        (("1.234", "2.5"), [1.234, 2.5], "number"),
        (("yes", "No", "YES"), [True, False, True], "boolean No/YES"),
        (("TRUE", "FALSE"), [True, False], "boolean FALSE/TRUE"),
        (("yes", "", "no"), [1, None, 0], "boolean no/yes"),
        (("007", "12"), ["007", "12"], "category"),
        (("+", "-", "+"), ["+", "-", "+"], "category"),
        (("", "?", "NA"), [None, None, None], "missing"),
        (("inf", "1"), ["inf", "1"], "category"),
        (("E6", "E12"), ["E6", "E12"], "category"),
    ],
)
def test_what_a_column_holds(tmp_path: Path, values: Any, expected: Any, form: str) -> None:
    found, format_, _ = one(tmp_path, *values)
    assert [None if value != value else value for value in found] == expected
    assert format_ == form


@pytest.mark.parametrize("form", NUMBERS)
def test_every_text_is_a_number_or_none(form: str) -> None:
    """Of all texts of up to four of these signs: without a digit before any exponent it is no number."""
    for length in range(1, 5):
        for text in map("".join, itertools.product("01,. '+e", repeat=length)):
            found = parse(text, form)
            assert found is None or (np.isfinite(found) and set(text.split("e")[0]) & set("01")), text


@pytest.mark.parametrize(
    ("values", "day", "form"),
    [
        (("2024-12-31", "2024-02-03T10:00:00Z"), "2024-12-31", "date"),
        (("03.02.2024", "04.05.2024"), "2024-02-03", "date 31.12.2024"),
        (("03/02/2024", "31/12/2024"), "2024-02-03", "date 31/12/2024"),
        (("03/02/2024", "12/31/2024 08:30"), "2024-03-02", "date 12/31/2024"),
    ],
)
def test_dates_are_decided_by_the_whole_column(tmp_path: Path, values: Any, day: str, form: str) -> None:
    text = "k\tv\n" + "".join(f"a\t{value}\n" for value in values)
    found = table(tmp_path, text)
    assert str(found["v"][0])[:10] == day
    assert found.formats["v"] == form


@pytest.mark.parametrize("values", [("03/02/2024", "04/05/2024"), ("31/12/2024", "12/31/2024")])
def test_dates_that_nobody_can_tell_are_categories_with_a_note(tmp_path: Path, values: Any) -> None:
    found, form, notes = one(tmp_path, *values)
    assert form == "category"
    assert found == list(values)
    assert "line 2" in notes[0]
    assert "2024-12-31" in notes[0]


def test_a_second_file_is_read_like_the_first(tmp_path: Path) -> None:
    """One row says too little by itself: its formats come from the table that a model was fitted to."""
    first = table(tmp_path, "day;code;n;ok\n31/12/2024;A1;1,5;yes\n03/02/2024;7;2;no\n")
    alone = table(tmp_path, "day;code;n;ok\n03/02/2024;7;1,234;No\n", "u.csv", formats=first.formats)
    assert [str(alone["day"][0])[:10], alone["code"][0], alone["n"][0]] == ["2024-02-03", "7", 1.234]
    assert alone["ok"].tolist() == [False]
    for text, said in [
        ("day;code;n;ok\n31/12/2024;A1;many;yes\n", "u.csv line 2: n is 'many'"),
        ("day;code;n;ok\n12/31/2024;A1;1;yes\n", "line 2: day is '12/31/2024'.*31/12/2024"),
        ("day;code;n;ok\n31/12/2024;A1;1;maybe\n", "line 2: ok is 'maybe'"),
    ]:
        with pytest.raises(MetatlError, match=said):
            table(tmp_path, text, "u.csv", formats=first.formats)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("a,b\n", "has no row below its names a, b"),
        ("a,b\n1,2\n1,2,3\n", "line 3 has 3 fields.*names 2 columns"),
        ("a,b\n1\n", "line 2 has 1 field,"),
        ("a,b,a\n1,2,3\n", "names two columns 'a' .1 and 3."),
        ('a,b\n1,"2\n3,4\n', "line 2: a field in quotes"),
        ("a,b\nmg,cm\n1,2\n3,4\n5,6\n", "line 2: a is 'mg'.*second line of names"),
        ("a,b\nx,1\ny,2\na, b\nz,3\n", "line 4 says the names of line 1 once more.*delete the line"),
        ("5.1,3.5\n4.9,3.0\n4.7,3.2\n", "begins with numbers"),
        ("Export of June\n\na,b,c\n1,2,3\n4,5,6\n", "line 1 has one field, and the lines below have 3"),
        (b"\x00\x01\x02\x03\xff\xfe\x00rubbish", "is no text"),
        (b"PK\x03\x04workbook", "Excel.*CSV"),
        (b"\xff\xfeod\x00", "damaged"),
    ],
)
def test_what_is_no_table_is_one_line(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(MetatlError, match=said):
        table(tmp_path, text)


def test_a_value_may_be_called_as_its_column(tmp_path: Path) -> None:
    assert table(tmp_path, "a\na\nb\n")["a"].tolist() == ["a", "b"]
    assert table(tmp_path, "a,b\na,c\nb,d\n")["a"].tolist() == ["a", "b"]


@pytest.mark.parametrize(("first", "other"), [("45 %", "50 %"), ("1.5kg", "20kg"), ("€ 3,50", "€ 4,50")])
def test_numbers_with_a_unit_are_said_to_have_one(tmp_path: Path, first: str, other: str) -> None:
    _, form, notes = one(tmp_path, first, other, "")
    assert form == "category"
    assert f"{first!r}" in notes[0]
    assert "is a number with a unit; leave the unit out" in notes[0]
    for plain in ((first, "many"), ("p1", "p2"), ("1a", "2b"), (first, first)):
        assert one(tmp_path, *plain)[1:] == ("category", ())


def test_columns_that_play_no_part_are_told(tmp_path: Path) -> None:
    rows = "".join(f"{i},,same,note {i},{'xy'[i % 2]}\n" for i in range(30))
    found = without_part(table(tmp_path, "n,empty,one,free,kind\n" + rows))
    said = "empty (no value), one (the same value in every row), free (nearly every value differs)"
    assert found == (f"columns that play no part where all rows are labelled: {said}",)
    names, alike = ",".join([*(f"c{i}" for i in range(9)), "n"]), "1," * 9
    many = without_part(table(tmp_path, f"{names}\n{alike}1\n{alike}2\n"))
    assert many[0].endswith("c5 (the same value in every row) and 3 more")
    assert without_part(table(tmp_path, "n,kind\n1,x\n2,y\n")) == ()
    with pytest.raises(MetatlError, match="no column tells its 2 rows apart"):
        without_part(table(tmp_path, "n,kind\n1,x\n1,x\n"))


def test_files_that_are_not_there_or_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path, said in [(tmp_path / "no.csv", "no such file"), (tmp_path, "is a folder")]:
        with pytest.raises(MetatlError, match=said):
            read_table(path)
    monkeypatch.setattr(bounds, "machine_memory", lambda: 64)
    with pytest.raises(MetatlError, match="room for the fields"):
        table(tmp_path, "a,b\n1,2\n")
    with pytest.raises(MetatlError, match="no table"):
        read_table(7)


def test_a_wrong_delimiter_is_said_where_a_column_is_missing(tmp_path: Path) -> None:
    found = table(tmp_path, "age:ward\n1:a\n2:b\n")
    assert ":" in found.notes[0]
    with pytest.raises(MetatlError, match="one column, 'age:ward'"):
        found["ward"]
    right = table(tmp_path, "age,ward\n1,a\n")
    with pytest.raises(MetatlError, match="nearest: ward"):
        right["wards"]


def test_decimal_commas_are_no_delimiters(tmp_path: Path) -> None:
    """As many of them in every row, and none in the names."""
    rows = "".join(f"P{i};{i},5;{2 * i},25;ja\n" for i in range(9))
    found = table(tmp_path, "id;dosis;kosten;ergebnis\n" + rows)
    assert list(found) == ["id", "dosis", "kosten", "ergebnis"]
    assert found["dosis"].tolist() == [i + 0.5 for i in range(9)]


def test_rows_are_known_by_their_values(tmp_path: Path) -> None:
    found = table(tmp_path, "a,b,c\n1,x,yes\n1,x,no\n1.0,x,yes\n,x,yes\n")
    other = table(tmp_path, "c;b;a\nyes;x;1\n", "o.csv")
    own = found.digests()
    assert own[0] == own[2] == other.digests()[0]
    assert len({*own}) == 3


def test_unnamed_columns_that_count_are_left_out(tmp_path: Path) -> None:
    found = table(tmp_path, ",a\n0,5\n1,6\n")
    assert list(found) == ["a"]
    assert "counts the rows" in found.notes[0]
    assert list(table(tmp_path, "a,\n5,x\n6,y\n")) == ["a", "column 2"]


def test_nearly_numbers_say_which_value_is_none(tmp_path: Path) -> None:
    _, form, notes = one(tmp_path, *map(str, range(20)), "abc")
    assert form == "category"
    assert "'abc'" in notes[0]
    assert "line 22" in notes[0]


def test_arrays_by_name() -> None:
    found = read_table({"a": [1, None, 3], "b": ["x", None, "y"], "c": torch.tensor([1, 0, 2])})
    np.testing.assert_array_equal(found["a"], [1, np.nan, 3])
    assert found["b"].tolist() == ["x", None, "y"]
    assert found["c"].dtype == np.float64
    assert found.line(1) == 2
    assert read_table(found) is found
    wide = read_table({"m": np.arange(6.0).reshape(3, 2), "day": np.array(["2024-01-02"] * 3, "M8[D]")})
    assert list(wide) == ["m0", "m1", "day"]
    assert wide["day"].dtype == np.dtype("M8[s]")
    for wrong, said in [
        ({"a": [[1], [1, 2]]}, "no array"),
        ({"a": [{}, {}]}, "dict"),
        ({}, "no column"),
        ({"x": np.zeros((3, 2, 2, 2))}, r"\[3, 2, 2, 2\]"),
    ]:
        with pytest.raises(MetatlError, match=said):
            read_table(wrong)


def test_npz_files_name_columns_and_classes(tmp_path: Path) -> None:
    path = tmp_path / "cells.npz"
    held: dict[str, Any] = {
        "x": np.arange(12).reshape(4, 3),
        "other": np.zeros((4, 3)),
        "gene": np.array(["CD4", "CD8", "KIT"]),
        "y": np.array([0, 1, 1, 0]),
        "cell_types": np.array(["T", "B"]),
        "scale": np.array(3.0),
    }
    np.savez(path, **held)
    found = read_table(path)
    assert list(found) == ["CD4", "CD8", "KIT", "y"]
    assert found["y"].tolist() == ["T", "B", "B", "T"]
    assert [note.rpartition(": ")[2] for note in found.notes] == [
        "y is named by cell_types",
        "x is the matrix that counts",
        "no value for each of 4 rows",
    ]
    np.savez(path, **(held | {"sites": np.array(["a", "b"]), "site": np.array([1, 0, 1, 0])}))
    assert read_table(path)["site"].tolist() == ["b", "a", "b", "a"]
    path.write_bytes(b"damaged")
    with pytest.raises(MetatlError, match="damaged"):
        read_table(path)


def test_data_frames_and_parquet(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "a": pandas.array([1, None, 3], dtype="Int64"),
            "b": ["x", None, "y"],
            "c": pandas.to_datetime(["2024-01-01", None, "2024-03-04"]),
            "d": pandas.Categorical(["1", "2", "1"]),
            "e": [True, False, None],
        }
    )
    found = read_table(frame)
    np.testing.assert_array_equal(found["a"], [1, np.nan, 3])
    assert found["b"].tolist() == ["x", None, "y"]
    assert str(found["c"][1]) == "NaT"
    assert found["d"].tolist() == ["1", "2", "1"]
    np.testing.assert_array_equal(found["e"], [1, 0, np.nan])
    with pytest.raises(MetatlError, match="two columns 'a'"):
        read_table(pandas.concat([frame[["a"]], frame[["a"]]], axis=1))
    pytest.importorskip("pyarrow")
    frame.to_parquet(tmp_path / "t.parquet")
    stored = read_table(tmp_path / "t.parquet", formats=found.formats)
    assert stored.digests() == found.digests()
    (tmp_path / "t.parquet").write_bytes(b"PAR1 cut")
    with pytest.raises(MetatlError, match="damaged"):
        read_table(tmp_path / "t.parquet")


@pytest.mark.data
def test_real_files(data_root: Path) -> None:
    blood = read_table(data_root / "pbmc68k" / "pbmc68k_reduced.npz")
    found, rest = target(blood.drop(["barcode"]), "y")
    assert (blood.rows, len(rest), found.kind, found.outputs) == (700, 765, "classes", 10)
    assert "CD14+ Monocyte" in found.names
    school = read_table(data_root / "ilea_school" / "ilea_school.npz")
    assert target(school, "y")[0].kind == "real"
    assert [school.rows, len(school)] == [15362, 30]
