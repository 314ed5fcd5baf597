"""`metatl transfer`, `predict` and `methods` on drawn photos: from a folder to a table and a model."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import metatl as package
from metatl.lab import store
from metatl.transferring import running
from metatl.transferring import transfer as transferring
from metatl.transferring.study import Study
from tests.commands import metatl, refused, small_cache
from tests.own_nets import Small
from tests.photos import drawn

ROWS = "nearest-centroid,logistic-regression,ridge,fine-tuning"
ASKED = ("--net", "Conv4", "--size", "20", "--labelled", "1,2,all", "--draws", "3", "--methods", ROWS)
KEYS = {
    *("method", "labelled", "draws", "score", "ci95", "difference", "difference_ci95", "p", "harmed"),
    *("moved", "seconds", "selected", "diverged", "also"),
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # passes are tiny, and threads on a busy machine wait for one another
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        small_cache(patch, folder)
        # Else rows that move the body choose their rates too, and the fits are twelve times as many.
        patch.setattr(transferring, "VALIDATING", 0.0)
        yield folder
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return drawn(tmp_path_factory.mktemp("photos") / "squares")


@pytest.fixture(scope="module")
def done(cache: Path, photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An output folder of a whole command."""
    out = tmp_path_factory.mktemp("out") / "o"
    found = metatl("transfer", photos, *ASKED, "--out", out)
    assert found.code == 0, found
    assert f"metatl predict {out} PHOTO_OR_FOLDER" in found.out
    return out


def report(out: Path) -> dict[str, Any]:
    return json.loads((out / "report.json").read_text())


def timeless(out: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in report(out)["rows"]]


def done_in(folder: Path) -> int:
    """Cells on disk."""
    return sum(len(store.read_json(file)) for file in (folder / "cells").iterdir())


def test_everything_is_written(done: Path) -> None:
    names = {path.name for path in done.iterdir()}
    assert names >= {"table.md", "report.json", "plot.png", "confusion.png", "mistakes.png", "model"}
    found = report(done)
    assert list(found) == ["protocol", "rows"]
    assert all(set(row) == KEYS for row in found["rows"])
    at = {(row["method"], row["labelled"]): row for row in found["rows"]}
    assert set(at) == {(name, k) for name in ROWS.split(",") for k in (1, 2, "all")}
    assert {row["draws"] for row in found["rows"]} == {3, 1}
    assert at["fine-tuning", 1]["moved"]
    assert not at["ridge", 1]["moved"]
    assert at["ridge", 1]["selected"]["how"] == ["default"]
    assert at["ridge", 2]["selected"]["how"] == ["cv"]
    assert at["logistic-regression", 2]["difference"] is None
    low, high = at["ridge", "all"]["ci95"]
    assert low <= at["ridge", "all"]["score"] <= high
    told = found["protocol"]
    assert told["test_part"].startswith("val, ")
    assert (told["labelled_rows"], told["judging_rows"], told["missing"]) == (12, 10, [])
    assert told["mode"] == "inductive"
    assert told["weights_sha256"]
    assert told["versions"]["torch"]


def test_the_difference_is_that_of_the_scores_on_the_same_draws(done: Path) -> None:
    at = {(row["method"], row["labelled"]): row for row in report(done)["rows"]}
    for (name, k), row in at.items():
        if name != "logistic-regression":
            expected = row["score"] - at["logistic-regression", k]["score"]
            assert row["difference"] == pytest.approx(expected, abs=0.011)


def test_a_second_command_gives_the_same_rows(done: Path, photos: Path, tmp_path: Path) -> None:
    assert metatl("transfer", photos, *ASKED, "--out", tmp_path / "o").code == 0
    assert timeless(tmp_path / "o") == timeless(done)


def test_the_same_command_again_fits_no_cell(
    done: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done, tmp_path / "o")
    monkeypatch.setattr(Study, "cells", None)
    assert metatl("transfer", photos, *ASKED, "--out", tmp_path / "o").code == 0
    assert report(tmp_path / "o")["rows"] == report(done)["rows"]


def test_an_interrupted_command_goes_on(
    done: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, asked = Study.cells, list[int]()

    def cells(self: Study, name: str, parts: Any, *words: Any) -> Any:
        asked.append(len(parts))
        if len(asked) == 5:
            raise KeyboardInterrupt
        return real(self, name, parts, *words)

    monkeypatch.setattr(Study, "cells", cells)
    found = metatl("transfer", photos, *ASKED, "--out", tmp_path / "o")
    assert found.code == 130
    assert "the same command goes on" in found.lines[-1]
    assert done_in(tmp_path / "o") == sum(asked[:4]) > 4
    assert store.read_json(tmp_path / "o" / "state.json")["spent"] > 0
    assert metatl("transfer", photos, *ASKED, "--out", tmp_path / "o").code == 0
    assert timeless(tmp_path / "o") == timeless(done)
    whole = done_in(done)
    assert sum(asked) == whole + asked[4]


def test_other_photos_nets_and_seeds_are_refused(done: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(done, tmp_path / "o")
    shutil.copytree(photos, tmp_path / "p")
    shutil.copy(photos / "train/blue/00.png", tmp_path / "p/train/blue/99.png")
    for words, said in (
        ((tmp_path / "p", *ASKED), "other photos"),
        ((photos, *ASKED, "--size", "24"), "other net or size"),
        ((photos, *ASKED, "--seed", "1"), "other seed"),
    ):
        assert said in refused("transfer", *words, "--out", tmp_path / "o")


def test_predict_in_a_fresh_process_gives_the_accuracy_of_the_table(done: Path, photos: Path) -> None:
    words = [sys.executable, "-m", "metatl.lab.cli", "predict", str(done), str(photos / "val")]
    root = Path(package.__file__).parents[1]
    said = subprocess.run(words, capture_output=True, text=True, check=True, cwd=root)
    rows = list(csv.DictReader(said.stdout.splitlines()))
    assert len(rows) == 10
    right = [row["label"] == Path(row["file"]).parent.name for row in rows]
    saved = report(done)["protocol"]["saved"]["method"]
    at = {(row["method"], row["labelled"]): row["score"] for row in report(done)["rows"]}
    assert 100 * np.mean(right) == pytest.approx(at[saved, "all"], abs=0.01)
    cell = store.read_json(done / "cells" / f"{saved}~all.json")["0"]
    assert [float(row["probability"]) for row in rows] == pytest.approx(cell["probability"], abs=2e-5)
    assert all(float(row["probability"]) + float(row["second_probability"]) > 0.999 for row in rows)


def test_predict_names_what_cannot_be_read_and_goes_on(done: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copy(photos / "val/blue/00.png", tmp_path / "good.png")
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    found = metatl("predict", done, tmp_path, "--out", tmp_path / "p.csv")
    assert found.code == 0
    assert len(found.lines) == 1
    assert "bad.jpg" in found.lines[0]
    _, bad, good = (tmp_path / "p.csv").read_text().splitlines()
    assert bad.endswith("bad.jpg,,,,,,"), "a line for every photo"
    assert "good.png,green," in good
    alone = metatl("predict", done / "model", tmp_path / "bad.jpg")
    assert alone.code == 2
    assert "no photo could be read" in alone.lines[-1]
    assert "no such file" in refused("predict", done, tmp_path / "none.png")
    assert "holds no model.json" in refused("predict", photos, tmp_path / "good.png")


def test_unreadable_photos_are_left_out_and_named(cache: Path, photos: Path, tmp_path: Path) -> None:
    shutil.copytree(photos, tmp_path / "p")
    (tmp_path / "p/train/blue/bad.png").write_bytes(b"no picture")
    words = ("--net", "Conv4", "--size", "20", "--labelled", "1", "--draws", "1", "--methods", "ridge")
    found = metatl("transfer", tmp_path / "p", *words, "--out", tmp_path / "o")
    assert found.code == 0, found
    assert "bad.png" in found.out
    assert "bad.png" in (tmp_path / "o/table.md").read_text()
    row = report(tmp_path / "o")["rows"][0]
    assert (row["draws"], row["ci95"], row["p"]) == (1, None, None)
    assert "one or two draws say nothing" in (tmp_path / "o/table.md").read_text()


def test_without_a_test_part_there_are_folds(cache: Path, tmp_path: Path) -> None:
    folder = drawn(tmp_path / "p", {"": 6}, classes=3)
    found = package.transfer(
        folder, net="Conv4", size=20, labelled=[1, 50, "all"], draws=2, methods=["ridge"], out=tmp_path / "o"
    )
    told = found.report["protocol"]
    assert told["test_part"].startswith("5 stratified folds")
    assert [row["draws"] for row in found.report["rows"]] == [2, 2, 5, 5]
    assert "50 labels of each class are left out" in told["notes"][0]
    assert (found.folder / "mistakes.png").is_file()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--labelled", "1,none"), "'none' is no number of labels"),
        (("--labelled", "40"), "the smallest class has 6"),
        (("--methods", "magic"), "'magic' is none of"),
        (("--net", "Conv5"), "no net 'Conv5'"),
        (("--draws", "0"), "draws must be 1 or more"),
        (("--draws", "x"), "'x' is no whole number"),
        (("--minutes", "x"), "'x' is no number"),
        (("--methods", ","), "a name is empty"),
        (("--minutes", "0"), "minutes above 0"),
        (("--source", "x"), "none of nearest-centroid"),
        (("--methods", "gtl"), "give it with --source"),
        (("--methods", "lora"), "nothing to act on in this net"),
    ],
)
def test_a_wrong_option_is_one_line(
    cache: Path, photos: Path, tmp_path: Path, words: tuple[str, str], said: str
) -> None:
    given = dict(zip(ASKED[::2], ASKED[1::2], strict=True)) | dict([words])
    flat = [word for pair in given.items() for word in pair]
    assert said in refused("transfer", photos, *flat, "--out", tmp_path / "o")
    assert not (tmp_path / "o").exists()


def test_weights_that_stay_random_are_said_and_the_command_that_uses_an_own_net_works(
    cache: Path, photos: Path, tmp_path: Path
) -> None:
    held = Small().state_dict() | {"body.weight": torch.zeros(7, 4)}
    torch.save(held, tmp_path / "w.pt")
    words = ("--labelled", "2", "--draws", "1", "--methods", "ridge", "--out", tmp_path / "o")
    found = metatl("transfer", photos, "--net", f"tests.own_nets.Small@{tmp_path / 'w.pt'}", *words)
    assert found.code == 0, found
    assert "weights: 5 of 6 tensors from w.pt; of another shape or kind, random: body.weight" in found.out
    (use,) = [line for line in found.out.splitlines() if line.startswith("use it: metatl ")]
    assert use.endswith(" --own tests.own_nets.Small --out predictions.csv")
    said = shlex.split(use.removeprefix("use it: metatl ").replace("PHOTO_OR_FOLDER", str(photos)))
    assert metatl(*said[:-1], tmp_path / "p.csv").code == 0
    assert (tmp_path / "p.csv").is_file()
    shown = metatl("net", f"tests.own_nets.Small@{tmp_path / 'w.pt'}")
    assert "from: 5 of 6 tensors from w.pt" in shown.out


def test_few_minutes_cut_rows_alike_and_say_what_is_missing(
    cache: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "LITTLE", 0.0)
    rows = "ridge,fine-tuning,l2-sp"
    words = (*ASKED[:-1], rows, "--minutes", "0.001", "--out", tmp_path / "o")
    assert metatl("transfer", photos, *words).code == 0
    found = report(tmp_path / "o")
    assert {row["method"] for row in found["rows"]} == {"ridge", "logistic-regression"}
    assert {row["draws"] for row in found["rows"]} == {1}
    missing = {one["method"] for one in found["protocol"]["missing"]}
    assert missing == {"ridge", "logistic-regression", "fine-tuning", "l2-sp"}
    assert "did not reach" in (tmp_path / "o/table.md").read_text()


def test_methods_are_listed() -> None:
    said = metatl("methods").out
    assert "layer-wise-rates" in said
    assert "arXiv 1801.06146" in said
    listed = json.loads(metatl("methods", "--json").out)
    assert {row["moves"] for row in listed} == {"head", "body"}


def test_a_row_with_nothing_to_act_on_is_left_out_and_named(
    cache: Path, photos: Path, tmp_path: Path
) -> None:
    words = ("--net", "Conv4", "--size", "20", "--labelled", "1", "--draws", "1", "--minutes", "0.001")
    found = metatl("transfer", photos, *words, "--out", tmp_path / "o")
    assert found.code == 0, found
    for said in (found.out, (tmp_path / "o/table.md").read_text()):
        assert said.count("lora is left out") == 1
    (note,) = report(tmp_path / "o")["protocol"]["notes"]
    assert note.startswith("lora is left out: it has nothing to act on in this net")
    assert "lora" not in {one["method"] for one in report(tmp_path / "o")["protocol"]["missing"]}
