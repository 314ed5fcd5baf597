"""People whose rows are sentences, photos, recordings or windows, seen by a net that was learned before."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metatl import importing
from metatl.data import GroupData
from metatl.features import GroupFeatures
from metatl.lab import store
from metatl.pretrained import DEFAULT
from metatl.transferring import people, pretraining
from metatl.transferring.kinds import opened_reader, reader_values
from metatl.transferring.opened import Words, opened
from metatl.types import MetatlError
from tests import tiny_texts
from tests.commands import metatl, only, refused
from tests.photos import drawn

pytest.importorskip("sklearn")
PEOPLE = ("ada", "ben", "cem", "dee", "eli", "fay")
INTENTS = {
    "money": ("send money", "pay my bill", "move cash to my bill", "pay cash"),
    "rain": ("rain", "snow to wind", "hot sun", "cold wind"),
}
TO_GROUP = ("--adapt-to", "group", "--draws", "1", "--labelled", "2", "--methods", "head-only")


@pytest.fixture(scope="module", autouse=True)
def brief(tmp_path_factory: pytest.TempPathFactory, own_cache: None, one_thread: None) -> Iterator[None]:
    """Rows whose shared net learns for 60 steps."""
    folder = tmp_path_factory.mktemp("rows")
    shutil.copytree(people.FOLDER, folder / "people")
    start = folder / "people" / "start" / "pretrain.yaml"
    text = start.read_text()
    assert "steps: 800" in text
    start.write_text(text.replace("steps: 800", "steps: 60"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people, "FOLDER", folder / "people")
        yield


def listed(file: Path, names: Sequence[str], rows: Sequence[Sequence[str]]) -> Path:
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows([names, *rows])
    return file


def said_by(who: str) -> list[list[str]]:
    """Two days of four sentences each; an ending of one's own."""
    found = [(text + " a" * len(who), name) for name, texts in INTENTS.items() for text in texts]
    return [[text, name, who, day] for day in ("mon", "tue") for text, name in found]


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of sentences, one of them empty, and what was learned on it."""
    pytest.importorskip("transformers")
    place = tmp_path_factory.mktemp("s")
    tiny_texts.folder(place / "net")
    rows = [row for who in PEOPLE for row in said_by(who)]
    listed(place / "said.csv", ["utterance", "intent", "speaker", "day"], [*rows, ["", "rain", "ada", "mon"]])
    words = ("--text", "utterance", "--target", "intent", "--group", "speaker", "--apart", "day")
    net = ("--net", f"hf:{place / 'net'}", "--out", place / "o")
    found = metatl("transfer", place / "said.csv", *words, *TO_GROUP, *net)
    assert found.code == 0, found
    assert "left out: 98 (cannot be read)" in found.out
    return place


def test_sentences_of_people(spoken: Path) -> None:
    report = store.read_json(spoken / "o" / "labelled-2" / "report.json")
    rows = {row["method"]: row for row in report["groups"]}
    assert set(rows) == {"no-adaptation", "fine-tuning", "head-only"}
    assert all(row["by_group"].keys() <= {*PEOPLE} for row in rows.values())
    assert rows["fine-tuning"]["accuracy"] > 85
    assert "worst tenth" in (spoken / "o" / "labelled-2" / "table.md").read_text()


def test_somebody_new_and_a_line_that_cannot_be_read(spoken: Path, tmp_path: Path) -> None:
    run = only(spoken / "o" / "runs" / "head-only")
    mine = listed(tmp_path / "zoe.csv", ["utterance", "intent", "speaker", "day"], said_by("zoe"))
    assert metatl("personalise", run, mine, "--out", tmp_path / "zoe.delta").code == 0
    new = listed(
        tmp_path / "new.csv", ["utterance", "x"], [["send money a a a", "1"], ["", "2"], ["rain a a a", "3"]]
    )
    found = metatl("predict", run, new, "--delta", tmp_path / "zoe.delta")
    assert found.code == 0, found
    assert found.lines == ["metatl: 3: cannot be read"]
    lines = list(csv.DictReader(found.out.splitlines()))
    assert [(one["line"], one["label"]) for one in lines] == [("2", "money"), ("3", ""), ("4", "rain")]
    alone = listed(tmp_path / "one.csv", ["utterance", "intent"], [["rain", "rain"], ["sun", "rain"]])
    assert metatl("personalise", run, alone, "--out", tmp_path / "a.delta").code == 0
    bad = listed(tmp_path / "bad.csv", ["utterance", "intent"], [["rain", "rian"]])
    assert "nearest: rain" in refused("personalise", run, bad, "--out", tmp_path / "b.delta")


def photos(place: Path, takers: Sequence[str] = PEOPLE) -> Path:
    """A table that lists photos of two colours, taken by these people."""
    drawn(place, dict.fromkeys(takers, 4))
    rows = [
        [str(file.relative_to(place)), file.parent.name, who]
        for who in takers
        for file in sorted((place / who).rglob("*.png"))
    ]
    return listed(place / "taken.csv", ["file", "colour", "who"], rows)


def test_photos_that_a_table_lists(tmp_path: Path) -> None:
    file = photos(tmp_path)
    source = GroupFeatures(str(file), "colour", "who", inputs={"photo": "file"}, net="CNN", size=16)
    found = source.load()
    assert found.labels == ("blue", "green")
    assert {split: len(part.ids) for split, part in found.groups.items()} == {
        "meta_train": 4,
        "meta_val": 1,
        "meta_test": 1,
    }
    rows = source.further(file, found, labelled=True)
    assert rows.labels == (("blue",) * 4 + ("green",) * 4) * 6
    assert rows.id_name == "file"
    (tmp_path / "ada" / "blue" / "00.png").write_bytes(b"none")
    mine = source.further(tmp_path / "ada", found, labelled=False)
    assert [Path(name).stem for name in mine.ids] == ["01", "02", "03", "00", "01", "02", "03"]
    assert [at for at, _ in mine.lost] == [0]


def test_photos_of_a_table_are_a_problem_too(tmp_path: Path) -> None:
    file = photos(tmp_path, PEOPLE[:3])
    found, usual = opened(file, Words(target="colour", group="who", photo="file"))
    assert usual == DEFAULT
    assert found.group is not None
    assert (found.inputs.unit, len(found.inputs), {*found.group}) == ("photo", 24, {*PEOPLE[:3]})
    reader = opened_reader(reader_values(found.reader))
    assert list(reader.read([file]).ids) == list(found.inputs.ids)
    assert len(reader.read([tmp_path / "ada"])) == 8
    assert len(reader.read([tmp_path / "ada" / "blue" / "00.png"])) == 1
    words = ("--photo", "file", "--text", "colour", "--target", "colour")
    assert "--text and --photo" in refused("transfer", file, *words)


def windows(file: Path, people: Sequence[str], seed: int) -> Path:
    """Windows [2, 12] whose slope says the class."""
    rng, rows = np.random.default_rng(seed), 16 * len(people)
    y = np.arange(rows) % 2
    x = rng.normal(size=(rows, 2, 12)) + (2 * y[:, None, None] - 1) * np.linspace(-1, 1, 12)
    np.savez(file, x=x, y=np.array(["down", "up"])[y], who=np.repeat(people, 16))
    return file


def test_a_net_that_was_learned_on_other_people(tmp_path: Path) -> None:
    data = windows(tmp_path / "a.npz", PEOPLE, 0)
    source = windows(tmp_path / "b.npz", ("kim", "lou"), 1)
    words = ("--source", source, "--target", "y", "--group", "who", *TO_GROUP, "--out", tmp_path / "o")
    found = metatl("transfer", data, *words)
    assert found.code == 0, found
    run = only(tmp_path / "o" / "runs" / "head-only")
    assert "rows are what a Conv1d learned on b, frozen, makes of them" in found.out
    assert metatl("personalise", run, source, "--out", tmp_path / "kim.delta").code == 0
    with_net = ("--net", "CNN", "--target", "y", "--group", "who", *TO_GROUP, "--out", tmp_path / "p")
    assert "CNN reads photos" in refused("transfer", data, *with_net)


def test_what_cannot_work(tmp_path: Path) -> None:
    file = listed(tmp_path / "t.csv", ["said", "y", "who"], [["rain", "a", "ada"], ["sun", "b", "ben"]] * 9)

    def why(**fields: Any) -> str:
        with pytest.raises(MetatlError) as error:
            GroupFeatures(str(file), "y", "who", **fields).load()
        return str(error.value)

    assert "no usual net" in why()
    assert "nearest: text" in why(inputs={"txt": "said"})
    with importing.received(trust=False):
        assert "--trust" in why(inputs={"text": "said"}, net="somebodys_nets.Net@weights.pt")
    assert "minilm is one already" in why(inputs={"text": "said"}, source=str(file))
    number = listed(tmp_path / "n.csv", ["said", "y", "who"], [[str(i), str(i / 7), "ada"] for i in range(9)])
    with pytest.raises(MetatlError, match="groups share classes"):
        GroupFeatures(str(number), "y", "who").load()
    words = ("--target", "y", "--group", "who", *TO_GROUP)
    assert "leave it out" in refused("transfer", file, *words, "--teacher", "CNN")
    assert "--photo" in refused("transfer", tmp_path, *words)
    assert "leave out --several" in refused("transfer", file, *words, "--several", ";")


def test_features_are_of_mean_0_over_the_people_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = windows(tmp_path / "a.npz", PEOPLE, 0)
    source = windows(tmp_path / "b.npz", ("kim", "lou"), 1)
    made = GroupFeatures(str(data), "y", "who", source=str(source), fractions=(0.5, 0.2, 0.3))
    found = made.load()
    assert isinstance(found, GroupData)
    x = found.rows("meta_train").double()
    assert x.mean(0).abs().max() < 1e-5
    assert found.labels == ("down", "up")

    def never(*_: object) -> None:
        raise AssertionError("what was learned on a source is kept")

    monkeypatch.setattr(pretraining, "_weights", never)
    again, more = made.load(), made.further(data, found, labelled=True)
    assert again.content == found.content
    assert (again.rows("meta_test") == found.rows("meta_test")).all()
    whole = {tuple(row) for split in found.groups for row in found.rows(split).tolist()}
    assert {tuple(row) for row in more.x.tolist()} == whole, "rows are seen alike whoever asks for them"
