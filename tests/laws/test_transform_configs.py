"""Transforms as a key of a config: learned, saved, resumed, evaluated and personalised through."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metatl import load
from metatl.engines import Auto, Batched, Loop
from metatl.lab import config, store
from metatl.lab.run import Run, learn, prepare, report
from metatl.types import MetatlError
from tests.commands import config_of, metatl, only, refused, written

LORA = {"class_path": "LoRA", "init_args": {"r": 2}}
MARK = "mark"
POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", MARK]}}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ready(values: dict[str, Any]) -> Run:
    return prepare(config.parse(values))


def test_maml_through_lora_from_a_config(here: Path) -> None:
    """The base stays bit by bit, A and B are learned; a finished run gives the same bytes."""
    path = written(here, config_of("lora"))
    assert metatl("run", path).code == 0
    folder = only(here / "runs")
    run, learned = ready(config_of("lora")), store.load_transfer(folder / "transfer.safetensors")
    assert run.folder.resolve() == folder.resolve()
    for name, leaf in run.first.params.items():
        moved = "lora_" in name or run.net.is_head(name)
        assert torch.equal(learned.params[name], leaf) != moved, name
        assert bool((learned.guide[name] == float(moved)).all()), name
    scores = (folder / "episodes.npy").read_bytes()
    assert metatl("evaluate", folder).code == 0
    assert (folder / "episodes.npy").read_bytes() == scores
    (folder / "report.json").unlink()
    assert metatl("run", path).code == 0
    assert (folder / "episodes.npy").read_bytes() == scores
    x = torch.rand(6, 1, 16, 16)
    one, two = (load(folder).adapt(x, [0, 1, 2] * 2) for _ in range(2))
    assert torch.equal(one.outputs(x), two.outputs(x))
    one.save_delta(here / "mine.delta")
    moved = [n for n, leaf in one.transfer.params.items() if not torch.equal(leaf, learned.params[n])]
    assert moved
    assert all("lora_" in name or run.net.is_head(name) for name in moved)


def test_every_learner_leaves_the_base_alone(here: Path) -> None:
    for name in ("supervised", "reptile", "scout"):
        values = config_of(name) | {"model": {"class_path": "MLP"}, "transforms": [LORA]}
        values["guide"] = {"class_path": "Ones"}
        run = ready(values)
        learned, _ = learn(run)
        base = [n for n in run.first.params if not run.net.is_head(n) and "lora_" not in n]
        assert all(torch.equal(learned.params[n], run.first.params[n]) for n in base), name
        assert not any(bool(learned.guide[n].any()) for n in base), name


@pytest.mark.parametrize("engine", [Loop(), Auto()])
def test_learning_through_it_is_the_same_on_every_engine(engine: Any) -> None:
    run = ready(config_of("lora", 3))
    mine = learn(replace(run, experiment=replace(run.experiment, engine=engine), folder=Path("other")))[0]
    right = learn(replace(run, experiment=replace(run.experiment, engine=Batched())))[0]
    for name, leaf in right.params.items():
        torch.testing.assert_close(mine.params[name], leaf, rtol=1e-3, atol=1e-5)


def test_a_start_brings_its_transforms_along(here: Path) -> None:
    """Rows that use a run through LoRA name it as their start; a second one on the same layers is refused."""
    start = written(here, config_of("lora"), "start.yaml")
    plain = config_of("lora") | {"name": "kept", "learner": "Keep", "start": start}
    run = ready(plain | {"transforms": []})
    learned, _ = learn(run)
    found, _ = learn(ready(config_of("lora")))
    assert all(torch.equal(learned.params[n], leaf) for n, leaf in found.params.items())
    assert len(report(run).scores) == 4
    with pytest.raises(MetatlError, match=r"body\.0' has such an addition already"):
        ready(plain)
    values = config_of("supervised") | {"model": {"class_path": "MLP"}}
    pretrained = written(here, values, "pretrained.yaml")
    fresh = {"learner": "Keep", "adaptation": {"head": {"class_path": "Zeros"}}}
    own = ready(config_of("lora") | fresh | {"start": pretrained})
    assert own.digest != ready(config_of("lora") | fresh).digest
    through, _ = learn(own)
    before, _ = learn(ready(values))
    assert all(torch.equal(through.params[n], leaf) for n, leaf in before.params.items())


def test_the_name_of_a_run_knows_its_transforms() -> None:
    digests = {
        ready(config_of("lora") | {"transforms": given}).digest
        for given in ([], [LORA], ["LoRA"], [{**LORA, "init_args": {"r": 2, "targets": r"body\.0"}}])
    }
    assert len(digests) == 4
    none = config_of("lora")
    del none["transforms"]
    assert ready(none).digest in digests


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([{"class_path": "LoRA", "init_args": {"r": 0}}], "give a rank of 1 or more"),
        ([{"class_path": "LoRA", "init_args": {"rank": 2}}], "LoRA has no key 'rank'"),
        (
            [{"class_path": "LoRA", "init_args": {"targets": "zzz"}}],
            "linear layers are body.0, body.2; 'head' gives the output and is never meant",
        ),
        ([{"class_path": "LoRA", "init_args": {"targets": "("}}], "not a regular expression"),
        ([LORA, LORA], "has such an addition already"),
        (["MLP"], "transforms"),
        ("LoRA", "transforms"),
        (3, "transforms"),
        (None, "transforms is null"),
        ([POPEN], "transforms: subprocess.Popen is neither"),
        ([{"class_path": "metatl.rules.SGD"}], "not correspond to a subclass of Transform"),
        ([{"class_path": "LoRA", "init_args": {"targets": POPEN}}], "transforms"),
    ],
    ids=str,
)
def test_what_is_no_transform_is_one_line_and_runs_nothing(given: Any, said: str, here: Path) -> None:
    line = refused("run", written(here, config_of("lora") | {"transforms": given}))
    assert said in line
    assert not (here / MARK).exists()
    assert not (here / "runs").exists()


def test_a_run_directory_received_from_elsewhere_runs_nothing(here: Path) -> None:
    assert metatl("run", written(here, config_of("lora", 2))).code == 0
    folder = only(here / "runs")
    values = config.read(folder / "config.yaml")
    for given in ([POPEN], [{"class_path": "LoRA", "init_args": {"r": POPEN}}]):
        written(folder, {**values, "transforms": given}, "config.yaml")
        for words in (["run", folder / "config.yaml"], ["evaluate", folder]):
            assert "transforms" in refused(*words)
        with pytest.raises(MetatlError, match="transforms"):
            load(folder)
    assert not (here / MARK).exists()
