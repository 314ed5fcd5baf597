"""Tables as people send them, through `metatl transfer` and `predict`: every row in its line, or one line."""

from __future__ import annotations

import csv
import io
import re
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metatl.data.signals import recording
from metatl.lab import store
from tests.commands import Said, metatl, refused

pytest.importorskip("sklearn")

from sklearn import datasets

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")
FEW = ("--draws", "2", "--minutes", "0.3")
Rows = list[list[Any]]


def as_text(names: list[str], rows: Rows, delimiter: str = ",", end: str = "\n") -> str:
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter=delimiter, lineterminator=end)
    writer.writerows([names, *rows])
    return stream.getvalue()


def said(found: Said) -> list[dict[str, str]]:
    assert found.code == 0, found
    return list(csv.DictReader(io.StringIO(found.out)))


@pytest.mark.parametrize(
    ("name", "delimiter", "coding", "least"),
    [("wine", ";", "utf-16", 90), ("breast_cancer", "\t", "utf-8-sig", 90), ("diabetes", ",", "latin-1", 0)],
)
def test_tables_of_scikit_learn(name: str, delimiter: str, coding: str, least: float, tmp_path: Path) -> None:
    """Lines of predictions are those of the file, targets and all, and are mostly right."""
    data = getattr(datasets, f"load_{name}")()
    classes = getattr(data, "target_names", None)
    targets = data.target if classes is None else [f"é {classes[y]}" for y in data.target]
    names = [*map(str, data.feature_names), "what"]
    rows = [[*map(repr, map(float, x)), y] for x, y in zip(data.data, targets, strict=True)]
    (tmp_path / "a.csv").write_bytes(as_text(names, rows, delimiter, "\r\n").encode(coding))
    words = ("--target", "what", "--methods", "ridge,nearest-neighbours", "--labelled", "20,all")
    assert metatl("transfer", tmp_path / "a.csv", *words, *FEW, "--out", tmp_path / "o").code == 0
    report = store.read_json(tmp_path / "o/report.json")
    assert {row["labelled"] for row in report["rows"]} == {20, "all"}
    lines = said(metatl("predict", tmp_path / "o", tmp_path / "a.csv"))
    assert [int(one["line"]) for one in lines] == list(range(2, len(rows) + 2))
    if classes is None:
        found = np.array([float(one["what"]) for one in lines])
        assert np.corrcoef(found, data.target)[0, 1] > 0.65
    else:
        assert report["rows"][-1]["score"] > least
        assert np.mean([one["label"] == y for one, y in zip(lines, targets, strict=True)]) > least / 100


NAMES = ["id", "alcohol", "acid", "day", "ward", "ok", "note", "batch", "price", "kind"]


def people() -> Rows:
    """Wines with columns as people have them; `kind` is told by alcohol, acid and ward."""
    data: Any = datasets.load_wine()
    rows: Rows = []
    for i, (x, y) in enumerate(zip(data.data, data.target, strict=True)):
        ward = ["north", "south", "west"][(y + (i % 5 == 0)) % 3]
        day = f"{1 + i % 28:02d}.{1 + i % 12:02d}.2024"
        note = f'said "{i}"\nline two, {i}'
        fine = "yes" if x[9] > 5 else "no"
        rows.append([f"p{i:03d}", f"{x[0]:.2f}", f"{x[1]:.2f}", day, ward, fine, note, 1, i, f"kind {y}"])
    return rows


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, own_cache: None) -> Path:
    place = tmp_path_factory.mktemp("t")
    (place / "a.csv").write_bytes(as_text(NAMES, people(), ";").encode("utf-16"))
    words = ("--target", "kind", "--drop", "id,price", "--methods", "ridge", "--labelled", "all")
    found = metatl("transfer", place / "a.csv", *words, *FEW, "--out", place / "o")
    assert found.code == 0, found
    return place / "o"


def inputs(change: Callable[[list[Any]], None] | None = None, count: int = 6) -> Rows:
    """The first rows without their targets, each changed."""
    rows = [row[:-1] for row in people()[:count]]
    if change is not None:
        for row in rows:
            change(row)
    return rows


def to(name: str, *values: Any) -> Callable[[list[Any]], None]:
    """A change of one column, to these values in turn."""
    turn = iter([*values] * 6)

    def change(row: list[Any]) -> None:
        row[NAMES.index(name)] = next(turn)

    return change


PLAIN = as_text(NAMES[:-1], inputs())
KEPT: dict[str, tuple[bytes, str]] = {
    "shuffled columns": (as_text(NAMES[-2::-1], [row[::-1] for row in inputs()]).encode(), ""),
    "UTF-16, tabs": (as_text(NAMES[:-1], inputs(), "\t", "\r\n").encode("utf-16-le"), ""),
    "a mark, blank lines": (("\n" + PLAIN).replace("\np00", "\n\n\np00").encode("utf-8-sig"), ""),
    "the target is there": (as_text(NAMES, [[*row, "not yet"] for row in inputs()]).encode(), ""),
    "a dropped column is another": (as_text(NAMES[:-1], inputs(to("price", "dear"))).encode(), ""),
    "an idle column is another": (as_text(NAMES[:-1], inputs(to("batch", "A", "7,5"))).encode(), ""),
    "spaces around names": (PLAIN.replace("alcohol", " alcohol ").encode(), ""),
    "a column that it has not is a word above numbers": (
        as_text([*NAMES[:-1], "new"], [[*r, "x" if i == 0 else i] for i, r in enumerate(inputs())]).encode(),
        "new unknown to the model, ignored",
    ),
    "one more column": (
        as_text([*NAMES[:-1], "new"], [[*r, "x"] for r in inputs()]).encode(),
        "new unknown to the model, ignored",
    ),
}


@pytest.mark.parametrize("name", KEPT)
def test_other_ways_of_writing_a_table_change_no_prediction(name: str, model: Path, tmp_path: Path) -> None:
    content, note = KEPT[name]
    (tmp_path / "plain.csv").write_text(PLAIN)
    (tmp_path / "n.csv").write_bytes(content)
    found = metatl("predict", model, tmp_path / "n.csv")
    assert said(found) == said(metatl("predict", model, tmp_path / "plain.csv"))
    assert [one["line"] for one in said(found)] == [f"p{i:03d}" for i in range(6)]
    assert [note in line for line in found.lines] == ([True] if note else [])


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (to("ward", "east", "north"), "3 values of ward not seen when fitted, taken as unknown"),
        (to("ward", "7", "yes"), "6 values of ward not seen"),
        (to("ward", "west", "7", "8", "9", "10", "11"), "5 values of ward not seen"),
        (to("ward", ""), ""),
        (to("acid", "", "NA", "?"), ""),
        (to("day", "-"), ""),
        (to("ok", ""), ""),
    ],
)
def test_values_that_are_new_or_missing_are_filled_in(
    change: Callable[[list[Any]], None], note: str, model: Path, tmp_path: Path
) -> None:
    rows = inputs(change)
    (tmp_path / "n.csv").write_text(as_text(NAMES[:-1], rows))
    found = metatl("predict", model, tmp_path / "n.csv")
    lines = said(found)
    assert [one["line"] for one in lines] == [row[0] for row in rows]
    assert all(one["label"].startswith("kind ") for one in lines)
    assert any(note in line for line in found.lines) == bool(note)


@pytest.mark.parametrize("name", ["", "  ", "007", "1.50", 'a,"b"\nc', "é"])
def test_names_of_rows_are_kept_as_they_are(name: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_text(as_text(NAMES[:-1], inputs(to("id", "p", name, "q"))), encoding="utf-8")
    assert metatl("predict", model, tmp_path / "n.csv", "--out", tmp_path / "p.csv").code == 0
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        found = [one["line"] for one in csv.DictReader(file)]
    own = [name.strip() or str(line) for line in (4, 10)]  # a row takes two lines, of which this is the first
    assert found == ["p", own[0], "q", "p", own[1], "q"]


ISO = inputs(lambda row: row.__setitem__(3, "-".join(row[3].split(".")[::-1])))
REFUSED: dict[str, tuple[str, str]] = {
    "dates in another format": (as_text(NAMES[:-1], ISO), "line 2: day is '2024-01-01'.*31.12.2024"),
    "dates of the other order": (
        as_text(NAMES[:-1], inputs(to("day", "12/31/2024"))),
        "line 2: day is '12/31/2024'",
    ),
    "no day of the calendar": (as_text(NAMES[:-1], inputs(to("day", "31.02.2024"))), "day is '31.02.2024'"),
    "words for numbers": (as_text(NAMES[:-1], inputs(to("acid", "1", "1", "high"))), "acid is 'high'"),
    "decimal commas": (as_text(NAMES[:-1], inputs(to("acid", "1,5"))), "acid is '1,5', .* numbers"),
    "no yes": (as_text(NAMES[:-1], inputs(to("ok", "ja"))), "ok is 'ja'.*no/yes"),
    "a colon between fields": (as_text(NAMES[:-1], inputs(), ":"), "one column.*separate fields by , ; |"),
    "two lines of names": (
        as_text(NAMES[:-1], [["", "%", "g/l", "", "", "", "", "", ""], *inputs()]),
        "line 2: alcohol is '%'",
    ),
    "a title above the names": ("Export of June\n\n" + PLAIN, "line 1 has one field"),
    "names in capitals": (PLAIN.replace("ward", "WARD"), "no column 'ward'; nearest: WARD"),
    "a column is gone": (PLAIN.replace("acid", "sugar"), "no column 'acid'"),
    "a name twice": (PLAIN.replace("batch", "ward"), "names two columns 'ward' .5 and 8."),
    "a row is short": (PLAIN.replace(",north,yes", ",north", 1), "has 8 fields, and line 1 names 9"),
    "a quote is open": (PLAIN + '"p9', "does not end"),
    "a file that was cut": (PLAIN[:-9], "does not end|fields, and line 1 names"),
    "no row": (as_text(NAMES[:-1], []), "no row below its names"),
    "nothing": ("", "is empty"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_table_that_cannot_be_read_like_the_first_is_one_line(
    name: str, model: Path, tmp_path: Path
) -> None:
    content, line = REFUSED[name]
    (tmp_path / "n.csv").write_text(content)
    found = refused("predict", model, tmp_path / "n.csv")
    assert re.search(line, found), found


def fitted(folder: Path, rows: Rows, *words: str, names: Any = ("id", "age", "dose", "y")) -> Any:
    (folder / "f.csv").write_text(as_text(list(names), rows))
    asked = ("transfer", folder / "f.csv", "--labelled", "all", "--methods", "ridge", *FEW, *words)
    return (*asked, "--out", folder / "o")


def plain(change: Callable[[int, list[Any]], list[Any]] = lambda i, row: row, count: int = 30) -> Rows:
    """id, age, dose and a class that age tells, each row changed."""
    return [
        change(i, [f"p{i}", 20 + i, round(0.37 * i % 1, 2), "old" if i > 12 else "young"])
        for i in range(count)
    ]


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (plain(lambda i, r: [*r[:3], ""]), "target 'y' has no value in any row"),
        (plain(lambda i, r: [*r[:3], "same"]), "one class only, 'same'"),
        (plain(lambda i, r: [*r[:3], "rare" if i == 3 else r[3]]), "class 'rare' has one row only"),
        (plain(lambda i, r: ["", "", "", r[3]]), "no column tells its 30 rows apart"),
        (
            plain(lambda i, r: ["", "years", "", ""] if i == 0 else r),
            "line 2: age is 'years'.*second line of",
        ),
        (plain(lambda i, r: [*r, 1] if i == 4 else r), "line 6 has 5 fields, and line 1 names 4"),
        (plain(count=1), "one class only"),
        (plain(count=0), "no row below its names"),
    ],
)
def test_a_table_from_which_nothing_is_learned_is_one_line(rows: Rows, line: str, tmp_path: Path) -> None:
    found = refused(*fitted(tmp_path, rows, "--target", "y"))
    assert re.search(line, found), found


def test_rows_that_no_column_tells_apart_answer_alike_where_others_are_told(tmp_path: Path) -> None:
    rows = plain(lambda i, r: [i, r[1], "a" if i % 2 else "b", r[1] / 7])
    words = ("--target", "y", "--drop", "id", "--methods", "ridge,extra-trees", "--labelled", "1,10")
    assert metatl(*fitted(tmp_path, rows, *words)).code == 0
    found = {
        (row["method"], row["labelled"]): row for row in store.read_json(tmp_path / "o/report.json")["rows"]
    }
    assert found["ridge", 1]["score"] == found["extra-trees", 1]["score"] > found["ridge", 10]["score"]


def test_fewer_draws_than_an_earlier_command_are_the_same_for_all(tmp_path: Path) -> None:
    rows = plain(lambda i, r: [i, r[1], "a" if i % 2 else "b", r[3]])
    words = ("--target", "y", "--drop", "id", "--minutes", "1")
    first = fitted(
        tmp_path, rows, *words, "--labelled", "0,1,5", "--draws", "4", "--methods", "in-context,bayes"
    )
    assert metatl(*first).code == 0
    again = fitted(
        tmp_path, rows, *words, "--labelled", "1,5", "--draws", "3", "--methods", "in-context,ridge"
    )
    assert metatl(*again).code == 0
    report = store.read_json(tmp_path / "o/report.json")
    assert {(row["labelled"], row["draws"]) for row in report["rows"]} == {(1, 3), (5, 3)}
    assert "0 labels" not in (tmp_path / "o/table.md").read_text()
    assert metatl(*first).code == 0
    found = store.read_json(tmp_path / "o/report.json")["rows"]
    assert {row["draws"] for row in found if row["labelled"] == 1} == {4}


def test_names_and_delimiters_that_are_wrong_are_one_line(tmp_path: Path) -> None:
    assert "nearest: Outcome" in refused(
        *fitted(tmp_path, plain(), "--target", "outcome", names=("id", "age", "dose", "Outcome"))
    )
    alone = [[row[3]] for row in plain()]
    assert "no column beside 'y'" in refused(*fitted(tmp_path, alone, "--target", "y", names=["y"]))
    colons = [[":".join(map(str, row))] for row in plain()]
    found = refused(*fitted(tmp_path, colons, "--target", "y", names=["id:age:dose:y"]))
    assert "has no column 'y'; it has one column, 'id:age:dose:y': separate fields by" in found


@pytest.mark.parametrize(
    ("forms", "note"),
    [
        (["2024-{m:02d}-{d:02d}"], ""),
        (["{d:02d}.{m:02d}.2024"], ""),
        (["{m:02d}/{d:02d}/2024"], ""),
        (["2024-{m:02d}-{d:02d}", "{d:02d}.{m:02d}.2024", "{m:02d}/{d:02d}/2024"], "in different ways"),
    ],
)
def test_dates_in_three_formats(forms: list[str], note: str, tmp_path: Path) -> None:
    """One format a column is dates; three in one are categories, and are said to be."""

    def dated(i: int, row: list[Any]) -> list[Any]:
        return [row[0], row[1], forms[i % len(forms)].format(d=1 + i % 28, m=1 + i % 12), row[3]]

    found = metatl(*fitted(tmp_path, plain(dated), "--target", "y", "--drop", "id"))
    assert found.code == 0, found
    assert ("in different ways" in found.out) == bool(note)
    reader = store.read_json(tmp_path / "o/model/model.json")["reader"]
    assert reader["formats"]["dose"].startswith("date") == (not note)
    assert len(said(metatl("predict", tmp_path / "o", tmp_path / "f.csv"))) == 30


def test_a_column_that_is_nearly_numbers_or_empty_is_said(tmp_path: Path) -> None:
    rows = plain(lambda i, r: [r[0], "unknown" if i == 7 else r[1], "", r[3]])
    found = refused(*fitted(tmp_path, rows, "--target", "y", "--drop", "id"))
    assert "no column tells its 30 rows apart (age: nearly every value differs; dose: no value)" in found
    rows = plain(lambda i, r: [r[0], r[1], "", "" if i == 9 else r[3]])
    found = metatl(*fitted(tmp_path, rows, "--target", "y", "--drop", "id"))
    assert found.code == 0, found
    assert "1 of 30 rows have no y and are left out" in found.out
    assert len(said(metatl("predict", tmp_path / "o", tmp_path / "f.csv"))) == 30, (
        "it is predicted all the same"
    )


def test_latin_1_is_said_where_letters_may_be_wrong(model: Path, tmp_path: Path) -> None:
    (tmp_path / "n.csv").write_bytes(PLAIN.replace("north", "nörth").encode("latin-1"))
    found = metatl("predict", model, tmp_path / "n.csv")
    assert len(said(found)) == 6
    assert any("is not UTF-8 (line 4), read as Latin-1" in line for line in found.lines)


def test_a_wav_of_24_bits_and_two_channels(tmp_path: Path) -> None:
    sound = 0.4 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16_000)
    whole = np.rint(2**23 * np.stack([2 * sound, 0 * sound], 1)).astype("<i4")
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(3)
        file.setframerate(16_000)
        file.writeframes(whole.view(np.uint8).reshape(-1, 4)[:, :3].tobytes())
    assert np.abs(recording(tmp_path / "a.wav") - sound).max() < 1e-6
