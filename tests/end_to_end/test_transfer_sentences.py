"""`metatl transfer` and `predict` on sentences, with a tiny net from a folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from metatl.lab import store
from tests import tiny_texts
from tests.commands import metatl, refused
from tests.photos import drawn

pytest.importorskip("transformers")
MONEY, WEATHER = (
    ("send money", "pay my bill", "move cash to my bill", "pay cash"),
    ("rain", "snow to wind", "hot sun", "cold wind"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, own_cache: None) -> Path:
    place = tmp_path_factory.mktemp("s")
    tiny_texts.folder(place / "net")
    rows = [
        (text + " a" * (i % 3), name)
        for i in range(3)
        for name, texts in (("money", MONEY), ("rain", WEATHER))
        for text in texts
    ]
    with (place / "intents.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("utterance", "intent"), *rows, ("", "money")])
    for i, (text, name) in enumerate(rows):
        (place / "texts" / name).mkdir(parents=True, exist_ok=True)
        (place / "texts" / name / f"{i}.txt").write_text(text)
    return place


def asked(folder: Path, out: Path, *words: Any) -> Any:
    few = ("--draws", "2", "--minutes", "0.4", "--labelled", "0,2,all", "--net", f"hf:{folder / 'net'}")
    return metatl("transfer", *words, *few, "--out", out)


def test_a_column_of_sentences(folder: Path, tmp_path: Path) -> None:
    some = "zero-shot,nearest-centroid,logistic-regression,lp-ft,bias-only,lora"
    words = (folder / "intents.csv", "--text", "utterance", "--target", "intent", "--methods", some)
    found = asked(folder, tmp_path / "o", *words)
    assert found.code == 0, found
    report = store.read_json(tmp_path / "o/report.json")
    rows = {(r["method"], r["labelled"]) for r in report["rows"]}
    cut = {one["method"] for one in report["protocol"]["missing"]}
    assert {name for name, _ in rows} | cut == set(some.split(","))
    assert not cut & {"zero-shot", "nearest-centroid", "logistic-regression"}
    assert {k for name, k in rows if name == "zero-shot"} == {0}
    assert "intents.csv line 26: the text is empty." in (tmp_path / "o/table.md").read_text()
    said = metatl("predict", tmp_path / "o", folder / "intents.csv")
    assert said.code == 0
    lines = list(csv.DictReader(said.out.splitlines()))
    assert len(lines) == 25
    assert lines[-1] == {**dict.fromkeys(lines[-1], ""), "line": "26"}
    files = metatl("predict", tmp_path / "o", folder / "texts")
    assert len(files.out.splitlines()) == 25


def test_text_files_in_folders(folder: Path, tmp_path: Path) -> None:
    found = asked(folder, tmp_path / "o", folder / "texts", "--methods", "ridge")
    assert found.code == 0, found
    assert store.read_json(tmp_path / "o/report.json")["protocol"]["unit_of_data"] == "sentence"


def test_mistakes_are_one_line(folder: Path, tmp_path: Path) -> None:
    words = ("transfer", folder / "intents.csv", "--out", tmp_path / "o")
    assert "utterance" in refused(*words, "--text", "uterance", "--target", "intent")
    assert "no such folder" in refused(
        *words, "--text", "utterance", "--target", "intent", "--net", "hf:nowhere"
    )
    assert "is a folder" in refused("transfer", folder / "texts", "--text", "a", "--out", tmp_path / "o")


def test_what_is_not_read_of_a_text_is_said(folder: Path, tmp_path: Path) -> None:
    long = tmp_path / "long.csv"
    long.write_text((folder / "intents.csv").read_text() + "rain " * 10_000 + ",rain\n")
    words = (long, "--text", "utterance", "--target", "intent", "--methods", "ridge")
    found = asked(folder, tmp_path / "o", *words)
    assert found.code == 0, found
    assert "1 text is longer than 24 tokens" in found.out
    assert any("1 text is longer" in line for line in metatl("predict", tmp_path / "o", long).lines)


def test_a_net_for_something_else_is_one_line(folder: Path, tmp_path: Path) -> None:
    words = ("transfer", folder / "texts", "--net", "Conv4", "--out", tmp_path / "o")
    assert "Conv4 reads photos, and these are sentences" in refused(*words)
    photos = drawn(tmp_path / "p", {"": 4})
    said = refused("transfer", photos, "--net", f"hf:{folder / 'net'}", "--out", tmp_path / "o")
    assert "reads sentences, and these are photos" in said
