"""Links and special files: nothing is written through a link, nothing that is no file is waited for."""

from __future__ import annotations

import os
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

from metatl import opening
from metatl.data import Arrays, Glyphs, ImageFolder
from metatl.data.photos import read_photo_folder
from metatl.lab import store
from metatl.train import Checkpoints
from metatl.transferring import transfer as transferring
from metatl.types import MetatlError
from metatl.weights.files import held
from tests import commands
from tests.commands import GLYPHS, config_of, metatl, only, refused, written
from tests.photos import drawn

MINE = b"nobody else's\n"
OTHER = ("--evaluation.episodes", "3")
OF_A_RUN = (
    *(".lock", "config.yaml", "provenance.json", "metrics.jsonl", "learned.json", "transfer.safetensors"),
    *("last.ckpt", "last.ckpt.previous", "report.json", "episodes.npy", "evaluations"),
)
OF_A_TRANSFER = (
    *(
        "cells",
        "state.json",
        "report.json",
        "report.html",
        "table.md",
        "plot.png",
        "confusion.png",
        "mistakes.png",
    ),
    *("model", "model/model.json", "model/weights.safetensors"),
)


@pytest.fixture(autouse=True)
def _waits_for_nothing() -> Iterator[None]:
    def stop(*_: object) -> NoReturn:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="module", autouse=True)
def _quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        commands.small_cache(patch, tmp_path_factory.mktemp("cache"))
        patch.setattr(transferring, "VALIDATING", 0.0)
        patch.setattr(Checkpoints, "due", lambda _: True)
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A config and the folder of its one run, evaluated in two ways."""
    folder = tmp_path_factory.mktemp("finished")
    path = written(folder, config_of("maml", 4))
    assert metatl("run", path, "--runs", folder / "runs").code == 0
    assert metatl("evaluate", only(folder / "runs"), *OTHER).code == 0
    return path, folder / "runs"


def victim(folder: Path, like: Path) -> Path:
    """Somebody's file with something in it, or somebody's empty folder."""
    place = folder / "victim"
    if like.is_dir():
        place.mkdir()
    else:
        place.write_bytes(MINE)
    return place


def unharmed(place: Path) -> bool:
    return not list(place.iterdir()) if place.is_dir() else place.read_bytes() == MINE


def ended(*words: str | Path) -> None:
    """A command ends well, or in one line."""
    found = metatl(*words)
    assert found.code in (0, 2), found
    assert len(found.lines) == (1 if found.code else 0), found


def link_harms_nothing(
    name: str, kind: str, words: list[str], finished: tuple[str, Path], place: Path
) -> None:
    """What of a run is a link stays one or is replaced; whatever it leads to stays as it is.

    words: `--again` for learning anew; none for going on with what was killed before it ended.
    """
    config, whole = finished
    shutil.copytree(whole, place / "runs")
    run = only(place / "runs")
    theirs = victim(place, run / name)
    store.remove_tree(run / name)
    (run / name).symlink_to(theirs) if kind == "link" else (run / name).hardlink_to(theirs)
    if not words:
        for left in {"report.json", "transfer.safetensors"} - {name}:
            store.remove_tree(run / left)
    ended("run", config, "--runs", place / "runs", *words)
    ended("evaluate", run, *OTHER)
    assert unharmed(theirs)


@pytest.mark.parametrize("name", OF_A_RUN)
def test_whatever_of_a_run_is_a_link_is_not_written_through(
    name: str, finished: tuple[str, Path], tmp_path: Path
) -> None:
    link_harms_nothing(name, "link", [], finished, tmp_path)


@pytest.mark.parametrize("kind", ["link", "hard link"])
@pytest.mark.parametrize("name", [".lock", "metrics.jsonl"])
def test_what_is_opened_in_place_is_not_truncated(
    name: str, kind: str, finished: tuple[str, Path], tmp_path: Path
) -> None:
    link_harms_nothing(name, kind, ["--again"], finished, tmp_path)


def test_a_link_that_an_evaluation_would_write_through(finished: tuple[str, Path], tmp_path: Path) -> None:
    shutil.copytree(finished[1], tmp_path / "runs")
    run, theirs = only(tmp_path / "runs"), tmp_path / "victim"
    theirs.mkdir()
    store.remove_tree(run / "evaluations")
    (run / "evaluations").symlink_to(theirs)
    assert "evaluations is a link, and nothing is written through links" in refused("evaluate", run, *OTHER)
    assert unharmed(theirs)


def test_a_run_directory_that_is_a_link_is_read_and_not_written(
    finished: tuple[str, Path], tmp_path: Path
) -> None:
    config, whole = finished
    shutil.copytree(whole, tmp_path / "real")
    run = only(tmp_path / "real")
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    (tmp_path / "latest").symlink_to(run)
    assert metatl("compare", tmp_path / "latest", only(whole)).code == 0
    line = refused("evaluate", tmp_path / "latest", "--evaluation.episodes", "2")
    assert f"{tmp_path / 'latest'} is a link" in line
    assert "name the folder that it leads to" in line
    place = tmp_path / "runs" / run.parent.name / run.name
    place.parent.mkdir(parents=True)
    place.symlink_to(run)
    assert "is a link" in refused("run", config, "--runs", tmp_path / "runs", "--again")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before
    # The folder of all runs is the user's own, and may lie anywhere.
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    assert metatl("run", config, "--runs", tmp_path / "linked", "--evaluation.episodes", "2").code == 0


def test_names_in_the_making_are_not_written_through(tmp_path: Path) -> None:
    theirs = victim(tmp_path, tmp_path / "a file")
    for place in (opening.beside(tmp_path / "report.json"), tmp_path / f".report.json.{os.getpid()}.part"):
        place.symlink_to(theirs)
    store.write_text(tmp_path / "report.json", "report")
    assert (tmp_path / "report.json").read_text() == "report"
    assert unharmed(theirs)


@pytest.fixture(scope="module")
def transferred(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str | Path], Path]:
    """The words of `metatl transfer` without --out, and what it wrote."""
    folder = tmp_path_factory.mktemp("transferred")
    words: list[str | Path] = ["transfer", drawn(folder / "photos"), "--net", "Conv4", "--size", "20"]
    words += ["--labelled", "1", "--draws", "2", "--methods", "ridge"]
    torch.set_num_threads(1)
    assert metatl(*words, "--out", folder / "out").code == 0
    return words, folder / "out"


@pytest.mark.parametrize("name", OF_A_TRANSFER)
def test_whatever_of_a_transfer_is_a_link_is_not_written_through(
    name: str, transferred: tuple[list[str | Path], Path], tmp_path: Path
) -> None:
    words, whole = transferred
    shutil.copytree(whole, tmp_path / "out")
    theirs = victim(tmp_path, whole / name)
    store.remove_tree(tmp_path / "out" / name)
    (tmp_path / "out" / name).symlink_to(theirs)
    ended(*words, "--out", tmp_path / "out")
    assert unharmed(theirs)


def test_an_output_folder_that_is_a_link(
    transferred: tuple[list[str | Path], Path], finished: tuple[str, Path], tmp_path: Path
) -> None:
    theirs = victim(tmp_path, tmp_path)
    (tmp_path / "out").symlink_to(theirs)
    for words in (transferred[0], ["benchmark", finished[0], "--runs", finished[1]]):
        assert "is a link" in refused(*words, "--out", tmp_path / "out")
    assert unharmed(theirs)


def pipe(place: Path) -> None:
    os.mkfifo(place)


def listener(place: Path) -> None:
    here = Path.cwd()
    os.chdir(place.parent)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(place.name)
    finally:
        os.chdir(here)


def endless(place: Path) -> None:
    place.symlink_to("/dev/zero")


SPECIAL = {"a named pipe": pipe, "a socket": listener, "a device": endless}


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_named_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    made = SPECIAL[kind]
    for name in ("a.yaml", "a.npz", "a.pt", "a.safetensors", "base", "photos/a/1.png", "photos/b/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        made(tmp_path / name)
    over = written(tmp_path, {"base": "base", **config_of("maml")}, "over.yaml")
    start = written(tmp_path, {"start": "a.yaml", **config_of("maml")}, "start.yaml")
    for path in (tmp_path / "a.yaml", over, start):
        assert f"is {kind}, not a file" in refused("run", path, "--runs", tmp_path / "runs")
    reads: list[Callable[[], Any]] = [
        lambda: Arrays(str(tmp_path / "a.npz")).load(),
        lambda: held(tmp_path / "a.pt"),
        lambda: held(tmp_path / "a.safetensors"),
        lambda: store.load_transfer(tmp_path / "a.safetensors"),
        lambda: ImageFolder(str(tmp_path / "photos")).load(),
    ]
    for read in reads:
        with pytest.raises(MetatlError, match=f"is {kind}, not a file"):
            read()


@pytest.mark.parametrize("kind", SPECIAL)
def test_photos_that_are_no_files_are_left_out_by_name(
    kind: str, transferred: tuple[list[str | Path], Path], tmp_path: Path
) -> None:
    words, whole = transferred
    shutil.copytree(words[1], tmp_path / "photos")
    odd = next((tmp_path / "photos" / "train").iterdir()) / "odd.png"
    SPECIAL[kind](odd)
    found = metatl(words[0], tmp_path / "photos", *words[2:], "--out", tmp_path / "out")
    assert found.code == 0, found
    assert f"left out: {odd} is {kind}, not a file" in found.out
    found = metatl("predict", whole, odd.parent)
    assert found.code == 0, found
    assert [f"is {kind}, not a file" in line for line in found.lines] == [True]
    assert f"is {kind}" in metatl("predict", whole, odd).lines[0]


def ends_beside(name: str, kind: str, finished: tuple[str, Path], place: Path) -> None:
    """Something special in a run directory: every command on it ends well, or in one line."""
    shutil.copytree(finished[1], place / "runs")
    run = only(place / "runs")
    store.remove_tree(run / name)
    SPECIAL[kind](run / name)
    ended("evaluate", run)
    store.remove_tree(run / "transfer.safetensors")
    ended("run", finished[0], "--runs", place / "runs")


@pytest.mark.parametrize("name", OF_A_RUN[:-1])
def test_what_is_no_file_in_a_run_directory_ends_in_one_line(
    name: str, finished: tuple[str, Path], tmp_path: Path
) -> None:
    ends_beside(name, "a named pipe", finished, tmp_path)


@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_in_a_cache_is_made_anew(kind: str, cache_home: Path) -> None:
    source = Glyphs(**GLYPHS["data"]["init_args"])
    whole = source.load().banks["meta_test"].x
    (file,) = (cache_home / "metatl").glob("glyphs-*.npz")
    file.unlink()
    SPECIAL[kind](file)
    assert torch.equal(source.load().banks["meta_test"].x, whole)
    assert file.is_file()
    assert not file.is_symlink()


def test_a_users_own_links_are_read_through(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "real.npz", x=rng.normal(size=(20, 3)).astype(np.float32), y=np.arange(20) % 10)
    (tmp_path / "a.npz").symlink_to(tmp_path / "real.npz")
    assert Arrays(str(tmp_path / "a.npz")).load().banks
    (tmp_path / "linked").symlink_to(drawn(tmp_path / "photos", {"": 3}))
    assert len(read_photo_folder(tmp_path / "linked").labelled) == 6


def test_what_dead_processes_left_is_swept_and_what_living_ones_make_stays(tmp_path: Path) -> None:
    dead = f".report.json{opening.mark().replace(str(os.getpid()), '99999999')}"
    alive, elsewhere = f".a.json{opening.mark()}", ".a.json.other-machine-99999999.part"
    users, earlier = "archive.99999999.part", ".a.99999999.part"
    for name in (dead, alive, elsewhere, users, earlier):
        (tmp_path / name).write_text("")
    (tmp_path / f".folder{dead}").mkdir()
    (tmp_path / f".folder{dead}" / "inside").write_text("")
    store.write_text(tmp_path / "b.json", "")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {alive, elsewhere, users, earlier, "b.json"}, "a folder of the user's"
    with store.locked(tmp_path):
        left = {path.name for path in tmp_path.iterdir()}
    assert left == {alive, "b.json", ".lock"}, "a run directory, which is held"
