"""Sentences out of folders and tables: every one of them, in order, or one clear line; and as episodes."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl import MetatlError
from metatl.data import Sentences, Tasks
from metatl.data.texts import TextReader, text_examples, text_folder_examples
from metatl.language import PAD, extra, preparation_of
from tests import tiny_texts

needs_text = pytest.mark.skipif(not extra.has("transformers"), reason="the extra text is not installed")
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


def table(file: Path, delimiter: str = ",", coding: str = "utf-8", rows: Any = ROWS) -> Path:
    quoted = [delimiter.join(f'"{cell}"' if delimiter in cell else cell for cell in row) for row in rows]
    return written(file, "\n".join([f"utterance{delimiter}intent", *quoted, ""]), coding)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_in_any_form(tmp_path: Path, delimiter: str, coding: str) -> None:
    place = table(tmp_path / "t.csv", delimiter, coding)
    found = text_examples(place, "utterance", target_name="intent")
    assert found.targets.names == ("money", "weather")
    assert [found.inputs.raw(at) for at in range(4)] == [text for text, _ in ROWS]
    assert found.targets.values.tolist() == [0, 1, 0, 1]
    assert found.inputs.digest(3) == hashlib.sha256(b"snow").hexdigest()


def test_no_row_takes_anothers_class(tmp_path: Path) -> None:
    """A quoted newline, a blank line, an empty text, an empty class."""
    text = (
        'utterance,intent\n"pay\nmy bill",money\n\n"   ",weather\nsnow,weather\nlost,\n"say ""now""",money\n'
    )
    found = text_examples(written(tmp_path / "t.csv", text), "utterance", target_name="intent")
    by_text = {
        found.inputs.shown(at): found.targets.names[label] for at, label in enumerate(found.targets.values)
    }
    assert by_text["pay\nmy bill"] == "money"
    assert by_text["snow"] == "weather"
    assert by_text['say "now"'] == "money"
    assert "lost" not in by_text


def test_a_folder_of_texts(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for number, (text, label) in enumerate(ROWS):
            written(tmp_path / part / label / f"{number}.txt", f"{text} {part}\n", "utf-16")
        written(tmp_path / part / "money" / ".hidden.txt", "nothing")
    found = text_folder_examples(tmp_path)
    assert len(found.inputs) == 8
    assert found.test is not None
    for at in range(8):
        place = Path(found.inputs.ids[at])
        assert place.parent.name == found.targets.names[found.targets.values[at]]
        assert found.inputs.raw(at).endswith("test" if at in found.test else "train")


def test_a_text_that_is_none_says_where_it_stands(tmp_path: Path) -> None:
    place = written(tmp_path / "t.csv", "id,utterance,intent\ns1,pay,a\ns2,  ,a\ns3,snow,b\n")
    for drop, said in (([], "t.csv line 3: the text is empty"), (["id"], "t.csv: s2: the text is empty")):
        found = text_examples(place, "utterance", target_name="intent", drop=drop)
        for inputs, at in ((found.inputs, 1), (found.inputs.take(np.array([2, 1])), 1)):
            with pytest.raises(MetatlError, match=said):
                inputs.raw(at)
    with pytest.raises(MetatlError, match=r"t.csv line 3: the text is empty"):
        TextReader("utterance").read([place]).digest(1)


def test_a_file_that_is_no_text_is_left_out_by_name(tmp_path: Path) -> None:
    for label in "ab":
        for number in range(2):
            written(tmp_path / label / f"{number}.txt", f"text {label} {number}")
    (tmp_path / "a" / "2.txt").write_bytes(bytes(range(256)))
    found = text_folder_examples(tmp_path)
    with pytest.raises(MetatlError, match=r"a/2.txt: cannot be read as text; save it as plain text"):
        found.inputs.digest(2)
    assert [found.inputs.raw(at) for at in (0, 1, 3)] == ["text a 0", "text a 1", "text b 0"]


# ---- as episodes


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_texts.folder(tmp_path_factory.mktemp("net")))


def many(file: Path, classes: int = 6, each: int = 5) -> Path:
    words = [word for word in tiny_texts.WORDS[4:] if word]
    rows = [
        (f"{words[c]} {words[(c + k) % 15]} " + "to " * k, f"intent{c}")
        for k in range(each)
        for c in range(classes)
    ]
    return table(file, rows=rows)


@needs_text
def test_episodes_hold_the_tokens_of_their_classes_texts(tmp_path: Path, net: str) -> None:
    source = Sentences(str(many(tmp_path / "t.csv")), "utterance", "intent", net, fractions=(0.5, 0.5, 0.0))
    data = source.load()
    tasks = Tasks(way=3, shot=2, query=3)
    drawn = data.draw("meta_train", tasks, 0, 0, 2)
    assert drawn.support.x.dtype == torch.int64
    assert data.shape == (2 + 2 + 4,)
    assert drawn.support.x.shape == (2, 6, 8)
    prepare, names = preparation_of(net), {bank.names for bank in data.banks.values()}
    assert len({name for some in names for name in some}) == 6, "classes are disjoint"
    bank = data.banks["meta_train"]
    for c, name in enumerate(bank.names):
        own = bank.x[int(bank.offsets[c])]
        text = f"{tiny_texts.WORDS[4 + int(name[6:])]} {tiny_texts.WORDS[4 + int(name[6:])]} "
        assert own[own != PAD].tolist() == prepare(text)["ids"].tolist()
    assert data.describe()["cut"] == 0


@needs_text
def test_what_is_cut_and_left_out_is_counted(tmp_path: Path, net: str) -> None:
    rows = [*ROWS, *ROWS, ("word " * 10_000, "money"), ("", "money"), ("once", "rare")]
    place = table(tmp_path / "t.csv", rows=rows)
    made = Sentences(str(place), "utterance", "intent", net, 5, (0.5, 0.0, 0.5), smallest=2).load()
    told = made.describe()
    assert (told["tokens"], told["cut"], told["empty"]) == (5, 3, 1), "two of four words, one of 10,000"
    assert told["left_out"] == {"rare": 1}
    assert sum(sum(bank.sizes) for bank in made.banks.values()) == 9


@needs_text
def test_splits_may_be_listed_and_folders_read(tmp_path: Path, net: str) -> None:
    for number, (text, label) in enumerate(ROWS):
        written(tmp_path / label / f"{number}.txt", text)
    data = Sentences(str(tmp_path), net=net, train=("money",), test=("weather",)).load()
    assert data.banks["meta_train"].names == ("money",)
    assert data.banks["meta_test"].names == ("weather",)
    with pytest.raises(MetatlError, match="needs text and target"):
        Sentences(str(many(tmp_path / "t.csv")), net=net).load()
    with pytest.raises(MetatlError, match="no column 'intents'"):
        Sentences(str(tmp_path / "t.csv"), "utterance", "intents", net).load()
