"""`metatl transfer --source` and `metatl shift` on photos and on sentences of two domains."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from metatl.lab import store
from tests import tiny_texts
from tests.commands import metatl
from tests.photos import drawn

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

ROWS = "source-only,coral,weights-by-classifier,easy-adapt"
WITHOUT = {*ROWS.split(",")} - {"easy-adapt"}
"""Those that serve without a label of the target."""
BRIDGES = """
base: mixup-bridges
adaptation: {init_args: {learner: {init_args: {steps: 20}}}}
"""
MONEY, WEATHER = ("send money", "pay my bill", "move cash"), ("rain", "snow to wind", "hot sun", "cold wind")


def sentences(place: Path, end: str) -> Path:
    """28 sentences of two classes; those of a domain end alike."""
    rows = [
        (f"{text} {middle} {end}", name)
        for name, texts in (("money", MONEY), ("rain", WEATHER))
        for middle in ("a", "my", "to a", "a a")
        for text in texts
    ]
    with place.open("w", newline="") as stream:
        csv.writer(stream).writerows([("said", "intent"), *rows])
    return place


def photos(folder: Path) -> tuple[Path, Path, list[Any]]:
    """Squares of two colours; those of the source are smaller pictures, made large."""
    source = drawn(folder / "small", {"train": 10}, size=12)
    return drawn(folder / "large", {"train": 7, "val": 5}), source, ["--net", "Conv4"]


def texts(folder: Path) -> tuple[Path, Path, list[Any]]:
    pytest.importorskip("transformers")
    words = ["--text", "said", "--target", "intent", "--net", f"hf:{tiny_texts.folder(folder / 'net')}"]
    return sentences(folder / "target.csv", "snow bill"), sentences(folder / "source.csv", "my"), words


@pytest.mark.parametrize("made", [photos, texts])
def test_rows_of_both_domains_stand_in_the_table_and_the_shift_is_named(made: Any, tmp_path: Path) -> None:
    target, source, words = made(tmp_path)
    size = ["--size", "20"] if made is photos else []
    (tmp_path / "bridges.yaml").write_text(BRIDGES, encoding="utf-8")
    some = ["--labelled", "0,2", "--draws", "1", "--minutes", "2"]
    bridges = f",{tmp_path / 'bridges.yaml'}" if made is photos else ""
    some += ["--methods", ROWS + bridges]
    without = WITHOUT | ({"bridges"} if bridges else set())
    out = tmp_path / "o"
    found = metatl("transfer", target, "--source", source, *words, *size, *some, "--out", out)
    assert found.code == 0, found
    report = store.read_json(out / "report.json")
    assert _at(report["rows"], 0) == without
    assert _at(report["rows"], 2) >= without | {"easy-adapt"}
    assert all(row["selected"]["how"] == ["source"] for row in report["rows"] if row["labelled"] == 0)
    assert report["protocol"]["unit_of_data"] == ("photo" if made is photos else "sentence")
    assert any("effective sample size" in note for note in report["protocol"]["notes"])
    named = metatl("predict", out, target / "val" if made is photos else target, "--out", tmp_path / "p.csv")
    assert named.code == 0, named
    told = metatl("shift", source, target, *words, "--out", tmp_path / "s")
    assert told.code == 0, told
    assert "feature space: the same" in told.out
    assert {test["question"] for test in store.read_json(tmp_path / "s/report.json")["tests"]} >= {
        "P(X)",
        "P(Y)",
    }


def _at(rows: Sequence[dict[str, Any]], labelled: int) -> set[str]:
    return {row["method"] for row in rows if row["labelled"] == labelled}
