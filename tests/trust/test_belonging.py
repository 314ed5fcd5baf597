"""A file belongs to its run, and a report to what it was made with: nothing of another is taken for it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from metatl import load
from metatl.lab import store
from metatl.pretrained import pretrained
from metatl.train import Checkpoints
from metatl.types import MetatlError
from tests.commands import config_of, metatl, only, refused, small_cache, written

FILES = ("transfer.safetensors", "learned.json", "last.ckpt", "last.ckpt.previous")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Runs of one config with two seeds, with two checkpoints each."""
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        small_cache(patch, folder / "cache")
        patch.setattr(Checkpoints, "due", lambda _: True)
        path = written(folder, config_of("supervised", 4))
        for seed in (0, 1):
            assert metatl("run", path, "--runs", folder / str(seed), "--seed", seed).code == 0
        yield folder


@pytest.fixture
def runs(home: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A copy of the folder of runs, and of the run directory of another seed."""
    shutil.copytree(home / "0", tmp_path / "runs")
    return tmp_path / "runs", only(home / "1")


@pytest.mark.parametrize("reported", [True, False])
@pytest.mark.parametrize("name", ["transfer.safetensors", "learned.json"])
def test_what_another_seed_learned_is_refused(
    name: str, reported: bool, runs: tuple[Path, Path], home: Path
) -> None:
    folder, other = runs
    run = only(folder)
    shutil.copy(other / name, run / name)
    if not reported:
        (run / "report.json").unlink()
    for words in (["run", home / "a.yaml", "--runs", folder], ["evaluate", run],
                  ["evaluate", run, "--evaluation.episodes", 5],
                  ["run", home / "a.yaml", "--runs", folder, "--learn-only"]):  # fmt: skip
        line = refused(*words)
        assert f"{name} belongs to another run ({other.name.partition('-')[0]}" in line
        assert str(run) in line
    for read in (load, pretrained):
        with pytest.raises(MetatlError, match="belongs to another run"):
            read(str(run))


def test_both_of_another_seed_are_refused_too(runs: tuple[Path, Path], home: Path) -> None:
    """The config says which run it is."""
    folder, other = runs
    for name in ("transfer.safetensors", "learned.json"):
        shutil.copy(other / name, only(folder) / name)
    assert "belongs to another run" in refused("evaluate", only(folder))
    assert "belongs to another run" in refused("run", home / "a.yaml", "--runs", folder)


def test_a_config_of_another_seed_is_refused(runs: tuple[Path, Path]) -> None:
    folder, other = runs
    shutil.copy(other / "config.yaml", only(folder) / "config.yaml")
    assert "belongs to another run" in refused("evaluate", only(folder))


@pytest.mark.parametrize(
    "names", [("last.ckpt",), ("last.ckpt.previous",), ("last.ckpt", "last.ckpt.previous")]
)
def test_a_checkpoint_of_another_seed_is_refused(
    names: tuple[str, ...], runs: tuple[Path, Path], home: Path
) -> None:
    folder, other = runs
    run = only(folder)
    for name in FILES:
        (run / name).unlink()
    for name in names:
        shutil.copy(other / name, run / name)
    line = refused("run", home / "a.yaml", "--runs", folder)
    assert f"{names[0]} belongs to another run" in line
    for name in names:
        (run / name).unlink()
    assert metatl("run", home / "a.yaml", "--runs", folder).code == 0
    assert (run / "transfer.safetensors").read_bytes() == (
        only(home / "0") / "transfer.safetensors"
    ).read_bytes()


def test_a_report_of_another_seed_is_refused(runs: tuple[Path, Path]) -> None:
    folder, other = runs
    for name in ("report.json", "episodes.npy"):
        shutil.copy(other / name, only(folder) / name)
    assert "report.json belongs to another run" in refused("compare", only(folder), other)
    with pytest.raises(MetatlError, match=r"report\.json belongs to another run"):
        load(only(folder))


def test_weights_that_name_no_run_are_refused(runs: tuple[Path, Path]) -> None:
    run = only(runs[0])
    store.save_transfer(run / "transfer.safetensors", store.load_transfer(run / "transfer.safetensors"))
    assert "belongs to no run, and not" in refused("evaluate", run)


ARRAYS: dict[str, Any] = {
    "data": {"class_path": "Arrays", "init_args": {"path": "d.npz"}},
    "model": {"class_path": "MLP", "init_args": {"hidden": [8]}},
    "learner": {"class_path": "Supervised", "init_args": {"steps": 6, "batch_size": 4}},
    "adaptation": {"head": {"class_path": "Zeros"}, "steps": 1},
    "evaluation": {"tasks": {"way": 2, "shot": 1, "query": 2}, "episodes": 4, "select_episodes": 2},
}


def arrays(seed: int) -> None:
    x = np.random.default_rng(seed).random((60, 4), np.float32)
    np.savez("d.npz", x=x, y=np.repeat(np.arange(12), 5))


def stopped(*words: str | Path) -> None:
    """The command, interrupted in its third step."""

    def interrupt(self: Any, state: Any, _: float) -> None:
        saved(self, state, 0.0)
        if state.step == 3:
            raise KeyboardInterrupt

    saved = Checkpoints.now
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda _: True)
        patch.setattr(Checkpoints, "now", interrupt)
        assert metatl(*words).code == 130


def test_old_data_and_new_never_mix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run killed on old data goes on with them alone, however it is asked to."""
    monkeypatch.chdir(tmp_path)
    arrays(0)
    path = written(tmp_path, {"name": "t", **ARRAYS})
    stopped("run", path)
    run = only(tmp_path / "runs")
    arrays(1)
    with pytest.raises(MetatlError, match=r"last\.ckpt belongs to another run"):
        load(run)
    assert not (run / "transfer.safetensors").exists()
    assert metatl("run", run / "config.yaml").code == 0
    assert len(list((tmp_path / "runs" / "t").iterdir())) == 2, "other data are another run"
    arrays(0)
    assert metatl("run", path).code == 0
    assert metatl("run", path, "--runs", "whole").code == 0
    assert (run / "transfer.safetensors").read_bytes() == (
        only(tmp_path / "whole") / "transfer.safetensors"
    ).read_bytes()


def test_a_start_learned_on_old_data_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    arrays(0)
    start = written(tmp_path, {"name": "s", **ARRAYS}, "start.yaml")
    assert metatl("run", start).code == 0
    (old,) = (tmp_path / "runs" / "s").iterdir()
    arrays(1)
    kept = ARRAYS | {"learner": "Keep"}
    for name, begun in (("new", "start.yaml"), ("other", str(old / "config.yaml"))):
        assert (
            metatl("run", written(tmp_path, {"name": name, **kept, "start": begun}, f"{name}.yaml")).code == 0
        )
    assert len(list((tmp_path / "runs" / "s").iterdir())) == 2
    one, other = (only(tmp_path / "runs" / name) for name in ("new", "other"))
    told = [json.loads((run / "learned.json").read_text()) for run in (one, other, old)]
    assert told[0]["start"]["digest"] == told[1]["start"]["digest"] != told[2]["digest"]
    new = next(run for run in (tmp_path / "runs" / "s").iterdir() if run != old)
    shutil.copy(old / "transfer.safetensors", new / "transfer.safetensors")
    line = refused("run", written(tmp_path, {"name": "third", **kept, "start": "start.yaml"}, "third.yaml"))
    assert f"{new.relative_to(tmp_path) / 'transfer.safetensors'} belongs to another run" in line


def came(run: Path) -> dict[str, Any]:
    return json.loads((run / "provenance.json").read_text())


def test_learning_and_evaluating_keep_a_provenance_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, runs = written(tmp_path, config_of("maml", 6)), tmp_path / "runs"

    def at(hour: int) -> None:
        monkeypatch.setattr("metatl.lab.provenance.now", lambda: f"hour {hour}")

    at(1)
    stopped("run", path, "--runs", runs)
    run = only(runs)
    assert (came(run)["started"], set(came(run)) & {"resumed", "evaluated"}) == ("hour 1", set())
    at(2)
    assert metatl("run", path, "--learn-only", "--runs", runs).code == 0
    assert (came(run)["started"], came(run)["resumed"][0]["started"]) == ("hour 1", "hour 2")
    assert "versions" not in came(run)["resumed"][0], "what was otherwise"
    at(3)
    assert metatl("run", path, "--runs", runs).code == 0
    assert (came(run)["started"], came(run)["evaluated"]["started"]) == ("hour 1", "hour 3")
    learned = {key: value for key, value in came(run).items() if key != "evaluated"}
    at(4)
    assert metatl("evaluate", run, "--evaluation.episodes", 5).code == 0
    (place,) = (run / "evaluations").iterdir()
    assert came(place)["evaluated"]["started"] == "hour 4"
    for again in (["run", path, "--runs", runs], ["evaluate", run]):
        assert metatl(*again).code == 0
    (run / "report.json").unlink()
    at(5)
    assert metatl("run", path, "--runs", runs).code == 0
    assert came(run) == {**learned, "evaluated": came(run)["evaluated"]}
    assert came(run)["evaluated"]["started"] == "hour 5"
    at(6)
    assert metatl("run", path, "--again", "--learn-only", "--runs", runs).code == 0
    assert (came(run)["started"], "resumed" in came(run)) == ("hour 6", False)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--family", "new"), "family other, not new"),
        (
            ("--engine", "Loop"),
            "engine.class_path metatl.engines.batched.Batched, not metatl.engines.loop.Loop",
        ),
    ],
)
@pytest.mark.parametrize("lost", ["", "transfer.safetensors"])
def test_what_is_printed_is_what_the_report_was_made_with(
    words: tuple[str, str], said: str, lost: str, runs: tuple[Path, Path], home: Path, tmp_path: Path
) -> None:
    folder, _ = runs
    run = only(folder)
    before = {name: (run / name).read_bytes() for name in ("report.json", "config.yaml")}
    evaluated = came(run)["evaluated"]
    if lost:
        (run / lost).unlink()
    command = ["benchmark", home / "a.yaml", "--runs", folder, "--out", tmp_path / "out", *words]
    found = metatl(*command)
    assert found.code == 0
    assert [said in line and "stays as it is" in line for line in found.lines] == [True], found
    assert {name: (run / name).read_bytes() for name in before} == before
    assert came(run)["evaluated"] == evaluated
    (row,) = json.loads((tmp_path / "out" / "report.json").read_text())["rows"]
    assert row["family"] == "other"


def test_another_name_is_not_printed_for_the_same_report(runs: tuple[Path, Path]) -> None:
    found = metatl("evaluate", only(runs[0]), "--name", "mine")
    assert found.out.startswith("supervised: ")
    assert "name supervised, not mine" in found.lines[0]


# ---- directories of before


def aged(run: Path) -> Path:
    """As an older metatl left it: no digest in `learned.json`, none in the checkpoints."""
    told = json.loads((run / "learned.json").read_text())
    for key in ("digest", "start", "data"):
        told.pop(key, None)
    (run / "learned.json").write_text(json.dumps(told))
    for name in ("last.ckpt", "last.ckpt.previous"):
        state, seconds = store.load_checkpoint(run / name)
        (run / name).unlink()
        store.save_checkpoint(run / name, state, seconds)
    report = store.load_report(run)
    report.facts.pop("learned", None)
    store.save_report(run, report)
    return run


def test_an_old_run_opens_and_is_checked_by_its_config(runs: tuple[Path, Path], home: Path) -> None:
    run = aged(only(runs[0]))
    for words in (["evaluate", run], ["run", home / "a.yaml", "--runs", runs[0]], ["compare", run]):
        found = metatl(*words)
        assert (found.code, found.lines) == (0, []), found
    told = json.loads((run / "learned.json").read_text())
    assert told["digest"] == run.name.partition("-")[0], "noted, as it was checked"
    shutil.copy(runs[1] / "transfer.safetensors", run / "transfer.safetensors")
    assert "belongs to another run" in refused("evaluate", aged(run))


def test_an_old_checkpoint_and_old_weights_open_with_a_line(
    runs: tuple[Path, Path], home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = aged(only(runs[0]))
    assert pretrained(str(run)).module is not None
    line = (
        f"metatl: {run / 'transfer.safetensors'} is of an older metatl; that it belongs to its run could not"
    )
    assert capsys.readouterr().err.startswith(line)
    for name in ("transfer.safetensors", "learned.json"):
        (run / name).unlink()
    found = metatl("run", home / "a.yaml", "--runs", runs[0])
    assert found.code == 0
    assert [line for line in found.lines if "last.ckpt is of an older metatl" in line] == found.lines


def test_an_old_run_with_a_start_opens_with_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its start's name may have changed since; `metatl run` notes what it started from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Checkpoints, "due", lambda _: True)
    arrays(0)
    written(tmp_path, {"name": "s", **ARRAYS}, "start.yaml")
    path = written(tmp_path, {"name": "t", **ARRAYS, "start": "start.yaml"})
    first = metatl("run", path)
    (run,) = (tmp_path / "runs" / "t").iterdir()
    aged(run)
    found = metatl("evaluate", run)
    assert (found.code, found.out.splitlines()[0]) == (0, first.out.splitlines()[0])
    assert "that its files belong together could not be checked" in found.lines[0]
    assert metatl("run", path).code == 0
    shutil.rmtree(tmp_path / "runs" / "s")
    (tmp_path / "start.yaml").unlink()
    found = metatl("evaluate", run)
    assert (found.code, found.lines) == (0, [])
    assert yaml.safe_load((run / "config.yaml").read_text())["start"].endswith("start.yaml")
