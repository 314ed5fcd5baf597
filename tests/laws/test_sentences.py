"""Texts out of folders and tables: every one of them, in order, or one clear line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from metatl import MetatlError
from metatl.data.sentences import NO_CLASS, read_sentences

ROWS = [
    ("pay my bill", "money"),
    ("is it raining", "weather"),
    ("send cash, now", "money"),
    ("snow", "weather"),
]


def written(file: Path, text: str, coding: str = "utf-8") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode(coding))
    return file


def table(
    file: Path, delimiter: str = ",", coding: str = "utf-8", rows: list[tuple[str, str]] | None = None
) -> Path:
    quoted = [
        delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in rows or ROWS
    ]
    return written(file, "\n".join([f"utterance{delimiter}intent", *quoted, ""]), coding)


def refused(place: Path, text: str | None = None, target: str | None = None) -> str:
    with pytest.raises(MetatlError) as caught:
        read_sentences(place, text, target)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_table_in_any_form(tmp_path: Path, delimiter: str, coding: str) -> None:
    found = read_sentences(table(tmp_path / "t.csv", delimiter, coding), "utterance", "intent")
    assert found.classes == ("money", "weather")
    assert found.texts == tuple(text for text, _ in ROWS)
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.places == tuple(f"t.csv line {line}" for line in (2, 3, 4, 5))
    assert found.digests[3] == hashlib.sha256(b"snow").hexdigest()
    assert (found.part, found.test, found.left_out, found.notes) == ("folds", None, (), ())
    assert found.pool.tolist() == [0, 1, 2, 3]


def test_the_column_of_texts_needs_no_name_where_there_is_one(tmp_path: Path) -> None:
    place = table(tmp_path / "t.tsv", "\t")
    assert read_sentences(place, None, "intent").texts[3] == "snow"
    assert "which column holds the texts? Name one (--text): utterance, intent" in refused(place)
    plain = read_sentences(place, "utterance")
    assert plain.classes == ()
    assert set(plain.labels.tolist()) == {NO_CLASS}
    one = written(tmp_path / "one.csv", "text\nHello, there\nand, again, this\n")
    assert read_sentences(one).texts == ("Hello, there", "and, again, this")


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    """A quoted newline, a blank line, a row of spaces, an empty class: no row takes another's label."""
    text = 'utterance,intent\n"pay\nmy bill",money\n\n   ,weather\nsnow,weather\nlost,\n"say ""now""",money\n'
    found = read_sentences(written(tmp_path / "t.csv", text), "utterance", "intent")
    assert found.texts == ("pay\nmy bill", "snow", 'say "now"')
    assert [found.classes[label] for label in found.labels] == ["money", "weather", "money"]
    assert found.places == ("t.csv line 2", "t.csv line 6", "t.csv line 8")
    assert found.left_out == ("t.csv line 5 (empty)", "t.csv line 7 (no class)")


def test_other_encodings_are_read_and_said(tmp_path: Path) -> None:
    rows = [*ROWS, ("wie hoch ist die Gebühr", "money")]
    found = read_sentences(table(tmp_path / "t.csv", ",", "latin-1", rows), "utterance", "intent")
    assert found.texts[-1] == "wie hoch ist die Gebühr"
    assert "line 6" in found.notes[0]
    assert "Latin-1" in found.notes[0]


def test_a_long_text_is_read_whole(tmp_path: Path) -> None:
    long = "word " * 100_000
    found = read_sentences(table(tmp_path / "t.csv", rows=[*ROWS, (long, "money")]), "utterance", "intent")
    assert len(found.texts[-1].split()) == 100_000


def test_a_folder_of_tables_has_parts(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        table(tmp_path / f"{part}.csv")
    found = read_sentences(tmp_path, "utterance", "intent")
    assert (found.part, len(found.pool)) == ("test", 8)
    assert found.test is not None
    assert [found.places[i] for i in found.test] == [f"test.csv line {line}" for line in (2, 3, 4, 5)]
    (tmp_path / "test.csv").unlink()
    again = read_sentences(tmp_path, "utterance", "intent")
    assert (again.part, len(again.pool)) == ("val", 4)


@pytest.mark.parametrize(
    "parts", [("",), ("train/", "test/"), ("train/", "val/"), ("train/", "val/", "test/")]
)
def test_a_folder_of_texts(tmp_path: Path, parts: tuple[str, ...]) -> None:
    for part in parts:
        for number, (text, label) in enumerate(ROWS):
            written(tmp_path / f"{part}{label}" / f"{number}.txt", f"{text} {part}\n")
        written(tmp_path / f"{part}money" / ".hidden.txt", "nothing")
    found = read_sentences(tmp_path)
    assert found.classes == ("money", "weather")
    assert len(found.texts) == 4 * len(parts)
    assert {found.texts[i] for i in found.pool} >= {f"{text} {parts[0]}".strip() for text, _ in ROWS}
    for place, text, label in zip(found.places, found.texts, found.labels, strict=True):
        assert Path(place).parent.name == found.classes[label]
        assert (tmp_path / place).read_text(encoding="utf-8").strip() == text
    judges = [] if found.test is None else [found.places[i] for i in found.test]
    assert all(place.startswith(parts[-1]) for place in judges)
    assert len(judges) == (4 if len(parts) > 1 else 0)


def test_texts_without_classes(tmp_path: Path) -> None:
    for number in range(3):
        written(tmp_path / f"{number}.txt", f"text {number}")
    assert read_sentences(tmp_path).places == ("0.txt", "1.txt", "2.txt")
    one = read_sentences(tmp_path / "1.txt")
    assert (one.texts, one.places) == (("text 1",), ("1.txt",))


def test_what_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    place = table(tmp_path / "t.csv")
    assert "has no column 'intents'; did you mean 'intent'?" in refused(place, "utterance", "intents")
    assert "no such file or folder" in refused(tmp_path / "nowhere.csv", "utterance")
    assert "one class only, 'money'" in refused(
        table(tmp_path / "o.csv", rows=ROWS[:1]), "utterance", "intent"
    )
    ragged = written(tmp_path / "r.csv", "utterance,intent\npay, my bill,money\nsnow,weather\n")
    assert "r.csv line 2 has 3 fields" in refused(ragged, "utterance", "intent")
    assert "two columns are called 'a'" in refused(written(tmp_path / "d.csv", "a,a\n1,2\n"), "a")
    assert "a quote not closed" in refused(written(tmp_path / "q.csv", 'a,b\n"1,2\n3,4\n'), "a")
    assert "no rows" in refused(written(tmp_path / "e.csv", ""), "a")
    assert "no rows" in refused(written(tmp_path / "h.csv", "a,b\n"), "a")
    assert "zero bytes" in refused(written(tmp_path / "z.csv", "PK\x03\x04\0\0\0"), "a")
    assert "holds no text" in refused(written(tmp_path / "w.csv", "a,b\n ,1\n"), "a", "b")
    (tmp_path / "odd").mkdir()
    assert "put the texts of each class into a folder of its own" in refused(tmp_path / "odd")
    written(tmp_path / "odd" / "money" / "1.txt", "pay")
    (tmp_path / "odd" / "weather").mkdir()
    assert "class 'weather' has no texts (.txt" in refused(tmp_path / "odd")
    assert "is no table" in refused(tmp_path / "odd", None, "intent")


def test_a_class_of_the_test_part_alone_is_named(tmp_path: Path) -> None:
    table(tmp_path / "train.csv")
    table(tmp_path / "test.csv", rows=[*ROWS, ("tell a joke", "fun")])
    assert "class 'fun' (test.csv line 6)" in refused(tmp_path, "utterance", "intent")


def test_parts_are_disjoint_and_whole(tmp_path: Path) -> None:
    table(tmp_path / "train.csv")
    table(tmp_path / "test.csv", rows=[*ROWS, ("", "money")])
    found = read_sentences(tmp_path, "utterance", "intent")
    assert found.test is not None
    assert sorted([*found.pool, *found.test]) == list(range(len(found.texts)))
    assert found.left_out == ("test.csv line 6 (empty)",)
    assert found.labels.dtype == np.int64
