"""Code in what is read: a config runs metatl's and its user's own modules, a received file runs nothing."""

from __future__ import annotations

import contextlib
import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from metatl import importing, load, models
from metatl.adapt import Estimator
from metatl.data import Taskset
from metatl.lab import config, store
from metatl.lab.experiment import candidates
from metatl.lab.run import prepare
from metatl.transferring.open_model import open_model
from metatl.types import MetatlError
from tests.commands import WAVES, config_of, metatl, only, refused, written

MARK = "mark"
SYSTEM = {"class_path": "os.system", "init_args": {"command": f"touch {MARK}"}}
POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": ["touch", MARK]}}
EXEC = {"class_path": "builtins.exec", "init_args": {"source": f"open('{MARK}', 'w')"}}
OURS = {"class_path": "metatl.lab.store.remove_tree", "init_args": {"path": "precious"}}
THROUGH = {"class_path": "metatl.lab.store.files.os.system", "init_args": {"command": f"touch {MARK}"}}
TORCH = {"class_path": "torch.hub.load", "init_args": {"repo_or_dir": ".", "model": "x", "source": "local"}}
THEIRS = {"class_path": "their_code.Thing"}
PAYLOADS = {
    "system": SYSTEM, "popen": POPEN, "exec": EXEC, "ours": OURS, "through": THROUGH, "torch": TORCH,
}  # fmt: skip
SOURCE = f"""
open('{MARK}', 'w').close()
import os, subprocess
from torch import nn
from metatl.models import MLP as Net
class Thing:
    def __init__(self, *args, **given): open('{MARK}2', 'w').close()
    def fit(self, *args): open('{MARK}3', 'w').close()
    def predict(self, *args): open('{MARK}3', 'w').close()
class Small(Net):
    pass
def plain(shape, outputs): open('{MARK}2', 'w').close()
def make(shape, outputs, width=3) -> nn.Module: return Net(shape, outputs, (width,))
def late(shape, outputs) -> "nn.Module": return 3
def three(): return (1, 2, 3)
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with a module of somebody's, imported by nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "their_code.py").write_text(SOURCE)
    (tmp_path / "precious").mkdir()
    yield tmp_path
    sys.modules.pop("their_code", None)


def untouched(folder: Path) -> bool:
    return not list(folder.glob(f"{MARK}*")) and (folder / "precious").is_dir()


def places(payload: Any) -> dict[str, dict[str, Any]]:
    """Values of a config with the payload wherever something can stand."""
    knn = {"class_path": "Estimator", "init_args": {"estimator": "NearestNeighbours"}}
    text = str(payload).replace("'", '"')
    return {
        "model": {"model": payload},
        "model by its name": {"model": payload["class_path"]},
        "in a model": {"model": {"class_path": "MLP", "init_args": {"hidden": payload}}},
        "learner": {"learner": payload},
        "learner by its name": {"learner": payload["class_path"]},
        "in a learner": {"learner": {"class_path": "Episodic", "init_args": {"rule": payload}}},
        "guide": {"guide": payload},
        "in a guide": {"guide": {"class_path": "Shaped", "init_args": {"shape": payload}}},
        "data": {"data": payload},
        "in data": {"data": {"class_path": "Arrays", "init_args": {"path": payload}}},
        "a taskset": {"data": {"class_path": "Taskset", "init_args": {
            "path": payload["class_path"], "arguments": payload.get("init_args", {})}}},
        "a taskset's arguments": {"data": {"class_path": "Taskset", "init_args": {
            "path": "nowhere.at_all", "arguments": {"x": payload}}}},
        "engine": {"engine": payload},
        "terms": {"adaptation": {"terms": [payload]}},
        "transforms": {"transforms": [payload]},
        "evaluation": {"evaluation": {"tasks": payload}},
        "an estimator": {"adaptation": {**knn, "init_args": {"estimator": payload}}},
        "an estimator by its name": {
            "adaptation": {**knn, "init_args": {"estimator": payload["class_path"]}}},
        "options": {"adaptation": {**knn, "init_args": {"options": {"k": payload}}}},
        "select": {"select": {"rule.lr": [payload]}},
        "deep in select": {"select": {"rule.lr": [{"x": [[payload]]}]}},
        "select by name": {"adaptation": knn, "select": {"estimator": [payload["class_path"]]}},
        "a callable by its name": {"select": {"rule.lr": [
            {"class_path": "Inner", "init_args": {"objective": payload["class_path"]}}]}},
        "text in select": {"select": {"rule.lr": [text]}},
        "select as text": {"select": f'{{"rule.lr": [{text}]}}'},
        "learner as text": {"learner": text},
        "name": {"name": payload},
        "runs": {"runs": payload},
        "a factory": {"model": {"class_path": "Factory", "init_args": {
            "path": payload["class_path"], "arguments": payload.get("init_args", {})}}},
    }  # fmt: skip


@pytest.mark.parametrize("name", PAYLOADS)
@pytest.mark.parametrize("place", places(SYSTEM))
def test_a_config_runs_nothing_that_is_no_member(place: str, name: str, here: Path) -> None:
    values = {"name": "a", **WAVES, **places(PAYLOADS[name])[place]}
    path = written(here, values)
    config_alone = metatl("run", path, "--print_config")
    assert config_alone.code in (0, 2)
    assert len(config_alone.lines) <= 1
    assert untouched(here)
    if name == "system":
        refused("run", path, "--runs", "r")
        assert untouched(here)
    assert metatl("profile", path, "--no-memory", "--seconds", "0").code == 2
    assert metatl("benchmark", path).code == 2
    assert untouched(here)


@pytest.mark.parametrize("way", ["evaluate", "load"])
def test_a_received_run_directory_imports_nothing(way: str, here: Path, run: Path) -> None:
    values = config.read(run / "config.yaml")
    for payload, place in itertools.product((THEIRS, SYSTEM), places(THEIRS)):
        written(run, {**values, **places(payload)[place]}, "config.yaml")
        if way == "evaluate":
            said = metatl("evaluate", run)
            assert said.code in (0, 2)
            assert len(said.lines) <= 1
        else:
            with contextlib.suppress(MetatlError):
                load(run)
        assert "their_code" not in sys.modules
        assert untouched(here)


@pytest.fixture
def run(here: Path) -> Path:
    assert metatl("run", written(here, config_of("maml", 2), "whole.yaml")).code == 0
    return only(here / "runs")


def test_what_a_report_chose_imports_nothing(here: Path, run: Path) -> None:
    """`selected` of a report that somebody sent."""
    values = config.read(run / "config.yaml")
    values["adaptation"] = {"class_path": "Estimator", "init_args": {"estimator": "NearestNeighbours"}}
    written(run, values, "config.yaml")
    (run / "report.json").unlink()
    assert metatl("evaluate", run).code == 0
    for folder in (run, *run.glob("evaluations/*")):
        if (folder / "report.json").is_file():
            found = store.load_report(folder)
            found.facts["selected"] = {"estimator": "their_code.Thing"}
            store.save_report(run, found)
    with pytest.raises(MetatlError, match="wants the module their_code"):
        load(run)
    assert untouched(here)


def test_own_modules_are_asked_for(here: Path) -> None:
    """A config that the user names imports them; a run directory only with trust, and says which it wants."""
    model = {"class_path": "their_code.Small", "init_args": {"hidden": [4]}}
    path = written(here, {**config_of("maml", 2), "model": model})
    assert metatl("run", path).code == 0
    folder = only(here / "runs")
    for mark in here.glob(f"{MARK}*"):
        mark.unlink()
    del sys.modules["their_code"]
    line = refused("evaluate", folder)
    assert "wants the module their_code" in line
    assert "--trust" in line
    with pytest.raises(MetatlError, match=r"their_code.*trust=True"):
        load(folder)
    assert "their_code" not in sys.modules
    assert metatl("evaluate", folder, "--trust").code == 0
    assert metatl("evaluate", "--trust", folder).code == 0
    del sys.modules["their_code"]
    assert type(load(folder, trust=True).net.module).__name__ == "Small"
    assert load(folder).shape is not None, "the user has imported it"
    assert "wants the module" in refused("evaluate", folder), "a command's user has not"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model": {"class_path": "their_code.Thing"}}, "their_code.Thing is no nn.Module"),
        ({"model": {"class_path": "their_code.plain"}}, "that says it makes a net"),
        ({"model": "their_code.plain"}, "that says it makes a net; write what it returns: def plain(...) ->"),
        ({"model": "numpy.load"}, "name a function of your own that calls it: def make(shape, outputs) ->"),
        ({"model": {"class_path": "their_code.late"}}, "gives a int"),
        ({"model": {"class_path": "their_code.os.system"}}, "is neither metatl's"),
        ({"learner": {"class_path": "their_code.Thing"}}, "Thing"),
        ({"learner": {"class_path": "their_code.three"}}, "learner"),
        ({"select": {"rule.lr": [{"class_path": "their_code.Thing"}]}}, "belongs to no family"),
        ({"select": {"rule.lr": ["{class_path: their_code.Thing}"]}}, "belongs to no family"),
        ({"select": {"rule": [{"class_path": "their_code.three"}]}}, "plain values are wanted"),
        (
            {"data": {"class_path": "Taskset", "init_args": {"path": "their_code.subprocess.run"}}},
            "is neither",
        ),
        ({"model": {"class_path": "metatl.lab.record.Console"}}, "no member of metatl's families"),
        ({"learner": {"class_path": "metatl.rules.SGD"}}, "Learner"),
        ({"learner": {"class_path": "antigravity.Learner"}}, "is neither metatl's"),
    ],
    ids=str,
)
def test_own_modules_give_what_a_place_takes(values: dict[str, Any], said: str, here: Path) -> None:
    """The module of a config's own runs; what it holds is called only where it belongs."""
    assert said in refused("run", written(here, {"name": "a", **WAVES, **values}))
    assert not (here / f"{MARK}2").exists()
    assert not (here / f"{MARK}3").exists()


def test_select_takes_members_and_plain_values(here: Path) -> None:
    grid = {"rule": [{"class_path": "SGD", "init_args": {"lr": 0.1}}, {"class_path": "Adam"}]}
    found = config.parse({"name": "a", **WAVES, "select": grid})
    assert [type(rule).__name__ for rule in (found.select or {})["rule"]] == ["SGD", "Adam"]
    assert metatl("run", written(here, {"name": "a", **WAVES, "select": grid})).code == 0
    chosen = load(only(here / "runs")).adaptation
    assert chosen in [adaptation for _, adaptation in candidates(found)]
    assert metatl("run", written(here, {"name": "a", **WAVES, "select": grid})).code == 0


def test_a_function_that_says_so_makes_the_net(here: Path) -> None:
    sys.path.append(str(here))
    way = {"class_path": "their_code.make", "init_args": {"width": 5}}
    path = written(here, {"name": "a", **WAVES, "model": way})
    for words in ([], ["--model", "their_code.make"]):
        found = config.load(Path(path), words)
        assert type(found.model((1,), 1)) is models.MLP
        assert config.dump(config.parse(config.describe(found))) == config.dump(found)
    shapes = [leaf.shape for leaf in prepare(config.load(Path(path))).first.params.values()]
    assert shapes[0] == (5, 1)
    assert metatl("run", path).code == 0
    assert "wants the module their_code" in refused("evaluate", only(here / "runs"))


def test_timm_makes_the_net() -> None:
    pytest.importorskip("timm")
    way = {"class_path": "timm.create_model", "init_args": {"model_name": "resnet10t"}}
    net = config.parse({"name": "a", **WAVES, "model": way}).model((1, 32, 32), 5)
    assert net(torch.rand(2, 1, 32, 32)).shape == (2, 5)


def test_python_says_the_same() -> None:
    for path in (
        "os.system",
        "subprocess.Popen",
        "torch.load",
        "metatl.lab.store.remove_tree",
        "builtins.eval",
    ):
        for call in (
            lambda p=path: Taskset(p),
            lambda p=path: Estimator(p),
            lambda p=path: importing.found(p),
        ):
            with pytest.raises(MetatlError, match="is not imported"):
                call()


def test_a_saved_model_names_no_code(here: Path) -> None:
    """`torch.hub.load` and `subprocess.getoutput` are functions of loaded modules; neither is called."""
    from metatl import Classifier
    from tests.laws.test_transfer_rows import NET, SIZE, pictures

    x, y = pictures(12)
    Classifier(net=NET, method="ridge", size=SIZE).fit(x, y).save(here / "model")
    whole = store.read_json(here / "model" / "model.json")
    for name, given in (
        ("torch.hub.load", {"repo_or_dir": ".", "model": "x", "source": "local"}),
        ("subprocess.getoutput", {"cmd": f"touch {MARK}"}),
        ("their_code.Small", {}),
        ("metatl.lab.store.remove_tree", {"path": "precious"}),
    ):
        net = {"kind": "own", "name": name, "arguments": given}
        store.write_json(here / "model" / "model.json", {**whole, "net": net})
        refused("predict", here / "model", here)
        with pytest.raises(MetatlError):
            open_model(here / "model")
        assert untouched(here)
        assert "their_code" not in sys.modules
    readout = {**whole["readout"], "adaptation": {
        "class_path": "metatl.adapt.Estimator", "init_args": {"estimator": "their_code.Thing"}}}  # fmt: skip
    store.write_json(here / "model" / "model.json", {**whole, "readout": readout})
    refused("predict", here / "model", here)
    assert untouched(here)


def test_nothing_in_the_working_directory_stands_for_a_missing_package(here: Path) -> None:
    """A command without an own module in its words does not look there."""
    run = written(here, {"name": "a", **WAVES})
    assert metatl("run", run).code == 0
    assert metatl("evaluate", only(here / "runs")).code == 0
    metatl("methods")
    assert str(here) not in sys.path
    metatl("run", written(here, {"name": "a", **WAVES, "model": "their_code.Small"}))
    assert sys.path[-1] == str(here)


def test_the_names_of_the_families_are_those_of_the_configs() -> None:
    from metatl.lab.describe import FAMILIES

    assert tuple(family.__name__.partition(".")[2] for family in FAMILIES) == importing.FAMILIES
