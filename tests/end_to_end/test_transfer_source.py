"""`metatl transfer --source`: rows that learn on photos of other classes first."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.data.photos import photo_examples
from metatl.lab import store
from metatl.learners import Scout
from metatl.transferring import asked
from metatl.transferring import transfer as transferring
from metatl.transferring.cells import Cells
from metatl.transferring.rows import rows
from metatl.types import MetatlError
from tests.commands import metatl, refused, small_cache
from tests.photos import OTHERS, drawn

ROWS = "prototypes,maml,gtl,gtl-permuted"
ASKED = ("--net", "Conv4", "--size", "20", "--labelled", "all", "--draws", "1")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        small_cache(patch, tmp_path_factory.mktemp("cache"))
        patch.setattr(transferring, "VALIDATING", 0.0)
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    place = tmp_path_factory.mktemp("photos")
    return drawn(place / "squares"), drawn(place / "others", {"train": 6}, classes=3, colours=OTHERS)


@pytest.fixture(scope="module")
def done(small: None, folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "o"
    photos, source = folders
    found = metatl("transfer", photos, *ASKED, "--methods", ROWS, "--source", source, "--out", out)
    assert found.code == 0, found
    assert "gtl, gtl-permuted: 5 of 5 steps on the source" in found.out
    assert "prototypes: 30 of 30 steps" in found.out
    assert "the source has 3 classes" in found.out
    return out


def report(out: Path) -> dict[str, Any]:
    return json.loads((out / "report.json").read_text())


def scores(out: Path) -> list[Any]:
    return [(row["method"], row["labelled"], row["score"], row["selected"]) for row in report(out)["rows"]]


def test_the_rows_stand_in_the_table_and_the_source_in_the_protocol(done: Path) -> None:
    found = report(done)
    assert {row["method"] for row in found["rows"]} == {*ROWS.split(","), "logistic-regression"}
    assert {row["method"] for row in found["rows"] if row["moved"]} == {"maml", "gtl", "gtl-permuted"}
    source = found["protocol"]["source"]
    assert (source["data"], source["classes"], source["photos"]) == ("others", sorted(OTHERS), 18)
    assert [one["methods"] for one in source["learned"]] == [
        ["prototypes"],
        ["maml"],
        ["gtl", "gtl-permuted"],
    ]
    assert "steps on the source" in (done / "table.md").read_text()
    assert len(list((done / "source").glob("*.safetensors"))) == 3
    assert not list((done / "source").glob("*.ckpt*"))


def test_predict_gives_the_accuracy_of_the_table(
    done: Path, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    assert metatl("predict", done, folders[0] / "val", "--out", tmp_path / "p.csv").code == 0
    said = list(csv.DictReader((tmp_path / "p.csv").read_text().splitlines()))
    right = [row["label"] == Path(row["file"]).parent.name for row in said]
    saved = report(done)["protocol"]["saved"]["method"]
    at = {(row["method"], row["labelled"]): row["score"] for row in report(done)["rows"]}
    assert 100 * np.mean(right) == pytest.approx(at[saved, "all"], abs=0.01)


def test_an_interrupted_command_goes_on(
    done: Path, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = Scout.step, [0]

    def step(self: Scout, *given: Any) -> Any:
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return real(self, *given)

    monkeypatch.setattr(Scout, "step", step)
    words = ("--methods", ROWS, "--source", folders[1], "--out", tmp_path / "o")
    stopped = metatl("transfer", folders[0], *ASKED, *words)
    assert stopped.code == 130
    assert "the same command goes on" in stopped.lines[-1]
    assert store.read_json(tmp_path / "o/state.json")["spent"] > 0
    assert metatl("transfer", folders[0], *ASKED, *words).code == 0
    assert count[0] == 6
    assert scores(tmp_path / "o") == scores(done)
    for file in (done / "source").glob("*.safetensors"):
        assert (tmp_path / "o/source" / file.name).read_bytes() == file.read_bytes()


def test_a_source_can_come_later_but_not_change(
    small: None, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    photos, source = folders
    words = (*ASKED, "--out", tmp_path / "o")
    assert metatl("transfer", photos, *words, "--methods", "ridge").code == 0
    before = {file.name for file in (tmp_path / "o/cells").iterdir()}
    assert metatl("transfer", photos, *words, "--methods", "ridge,prototypes", "--source", source).code == 0
    assert before < {file.name for file in (tmp_path / "o/cells").iterdir()}
    assert metatl("transfer", photos, *words, "--methods", "ridge").code == 0
    other = drawn(tmp_path / "s", {"train": 7}, colours=OTHERS)
    said = refused("transfer", photos, *words, "--methods", "ridge,prototypes", "--source", other)
    assert "holds work on other source" in said


def test_without_a_source_its_rows_are_left_out(folders: tuple[Path, Path]) -> None:
    plain = asked.sourced(rows(), (), None)
    beside = {name for name, row in rows().items() if row.adaptation.streams}
    assert plain.keys() == rows().keys() - beside - {
        *ROWS.split(","),
        "gtl-layer-mean",
        "gtl-constant",
        "ewc",
        "l2-sp-fisher",
    }
    given = photo_examples(folders[1])
    assert asked.sourced(rows(), (), given) == rows()


def test_a_source_that_cannot_serve_is_one_line(
    small: None, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    one = drawn(tmp_path / "one", {"": 3}, classes=1, colours=OTHERS)
    for place, line in ((tmp_path / "none", "no such file or folder"), (one, "one class only")):
        words = ("--methods", "gtl", "--source", place, "--out", tmp_path / "o")
        assert line in refused("transfer", folders[0], *ASKED, *words)
        assert not (tmp_path / "o").exists()


def test_a_learner_that_refuses_on_the_source_stops_its_own_rows_alone(
    small: None, folders: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def step(self: Scout, *given: Any) -> Any:
        raise MetatlError("no task has a finite loss")

    monkeypatch.setattr(Scout, "step", step)
    words = ("--source", folders[1], "--out", tmp_path / "o")
    found = metatl("transfer", folders[0], *ASKED, "--methods", ROWS, *words)
    assert found.code == 0, found
    told = report(tmp_path / "o")
    assert {row["method"] for row in told["rows"]} == {"prototypes", "maml", "logistic-regression"}
    assert "gtl stopped: no task has a finite loss." in told["protocol"]["notes"]
    assert "gtl-permuted stopped" in (tmp_path / "o/table.md").read_text()
    assert [one["methods"] for one in told["protocol"]["source"]["learned"]] == [["prototypes"], ["maml"]]
    again = metatl("transfer", folders[0], *ASKED, "--methods", "gtl", *words)
    assert again.code == 0, again
    assert "logistic-regression" in again.out


def test_where_every_learner_refuses_it_is_one_line(tmp_path: Path) -> None:
    cells = Cells.resumed(tmp_path / "o", {"photos": "0"})
    with pytest.raises(MetatlError, match=r"^gtl stopped: no task\.$"):
        cells.without(rows(("gtl",)), {"gtl": "no task"})


def test_the_photos_themselves_are_no_source(small: None, folders: tuple[Path, Path], tmp_path: Path) -> None:
    words = ("--methods", "gtl", "--source", folders[0], "--out", tmp_path / "o")
    assert "is the same photo as" in refused("transfer", folders[0], *ASKED, *words)
