"""Numbers that can be read in two ways are read as the other columns of their table say."""

from pathlib import Path

import numpy as np
import pytest

from metatl.data.tables import read_table
from metatl.data.tables.columns import Columns
from metatl.data.tables.decimals import two_ways
from metatl.types import MetatlError


def table(folder: Path, text: str, **given: str) -> Columns:
    path = folder / "t.csv"
    path.write_text(text)
    return read_table(path, formats=given)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["1,234", "12"], True),
        (["1.234", "-12,500"], False),  # both marks: one of them is decimal
        (["1,234", "1,23"], False),
        (["0,234", "1,234"], False),
        (["1,234,567", "1,234"], False),
        (["1.234", "999.000"], True),
        (["12", "13"], False),
        (["1,234.5"], False),
    ],
)
def test_what_can_be_read_in_two_ways(values: list[str], found: bool) -> None:
    assert two_ways(values) == found


def test_a_column_that_tells_decides(tmp_path: Path) -> None:
    found = table(tmp_path, "a;price\n1,5;100,990\n-0,25;99,500\n")
    assert found["price"].tolist() == [100.99, 99.5]
    assert found.formats["price"] == "number 1.234,5"
    assert "column price: commas are decimal (1,234 is 1.234), as in column a" in found.notes
    found = table(tmp_path, 'a,price\n1.5,"100,990"\n-0.25,"99,500"\n')
    assert found["price"].tolist() == [100990, 99500]
    assert any(note.endswith(", as column a says") for note in found.notes)


def test_points_between_thousands_where_commas_are_decimal(tmp_path: Path) -> None:
    found = table(tmp_path, "a;pop\n1,5;900\n-0,25;1.250\n")
    assert found["pop"].tolist() == [900, 1250]
    assert "column pop: points separate thousands (1.234 is 1234), as in column a" in found.notes
    assert table(tmp_path, "a;pop\n1.5;900\n-0.25;1.250\n")["pop"].tolist() == [900, 1.25]


def test_semicolons_say_that_commas_are_decimal_where_no_column_tells(tmp_path: Path) -> None:
    found = table(tmp_path, "n;price\n1;100,990\n2;99,500\n")
    assert found["price"].tolist() == [100.99, 99.5]
    assert any(note.endswith("as semicolons separate the fields") for note in found.notes)
    found = table(tmp_path, 'n,price\n1,"100,990"\n2,"99,500"\n')
    assert found["price"].tolist() == [100990, 99500]
    assert any(
        "which no other column tells; write 1.234 where they are decimal" in note for note in found.notes
    )


def test_a_given_format_stays_and_refuses_what_is_written_otherwise(tmp_path: Path) -> None:
    text = "a;price\n1,5;100,990\n"
    assert table(tmp_path, text, price="number 1,234.5")["price"].tolist() == [100990]
    with pytest.raises(MetatlError, match="line 2: a is '1,5'"):
        table(tmp_path, text, a="number 1,234.5")


def test_arrays_of_text_likewise() -> None:
    found = read_table({"a": ["1,5", "2,25", None], "b": ["100,990", None, "3"], "n": np.arange(3)})
    assert found["b"][[0, 2]].tolist() == [100.99, 3]
    assert np.isnan(found["b"][1])
    assert found["n"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("form", ["number", "number 1,234.5", "number 1.234,5"])
def test_numbers_that_python_holds_are_no_text(form: str) -> None:
    """A model of a table with decimal commas took the number 1.234 for 1234."""
    numbers = [1.234, -1303.25, 1e-7, 1.5e22, 7.0]
    text = "2,5" if form.endswith(",5") else "2.5"
    single = np.array(numbers[:2], np.float32)
    for held in (numbers, np.array(numbers), np.array(numbers, object)):
        assert read_table({"a": held}, formats={"a": form})["a"].tolist() == numbers
    assert read_table({"a": single}, formats={"a": form})["a"].tolist() == single.tolist()
    mixed = read_table({"a": [*numbers, text, None]}, formats={"a": form})["a"]
    assert mixed[:6].tolist() == [*numbers, 2.5]
    assert np.isnan(mixed[6])
    assert read_table({"a": [1.125, text]})["a"].tolist() == [1.125, 2.5]


@pytest.mark.parametrize(("no", "yes"), [("no", "yes"), ("false", "true"), ("False", "TRUE")])
def test_booleans_that_python_holds_are_no_text(no: str, yes: str) -> None:
    """A model of a table with `true` and `false` refused what pandas reads of this table."""
    formats = {"a": f"boolean {no}/{yes}"}
    for held in (np.array([True, False]), [True, False], [True, no]):
        found = read_table({"a": held}, formats=formats)
        assert found["a"].tolist() == [True, False]
        assert found.formats == formats
    assert np.isnan(read_table({"a": [True, None]}, formats=formats)["a"]).tolist() == [False, True]


@pytest.mark.parametrize("words", [("False", "True"), ("no", "yes"), ("FALSE", "TRUE")])
def test_a_file_may_write_the_booleans_that_python_held_in_either_way(
    tmp_path: Path, words: tuple[str, str]
) -> None:
    """What pandas writes of a frame was refused by a model of this frame."""
    form = read_table({"a": [True, False]}).formats["a"]
    found = table(tmp_path, f"a;b\n{words[1]};1\n{words[0]};2\n", a=form)
    assert found["a"].tolist() == [True, False]
    with pytest.raises(MetatlError, match="line 2: a is 'ja'"):
        table(tmp_path, "a;b\nja;1\n", a=form)
