"""Scouts' directions by config: learned, carried, moved along, saved and opened again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from metatl import load
from metatl.lab import config, grids, store
from metatl.lab.experiment import candidates
from metatl.lab.run import Run, prepare
from tests.commands import config_of, metatl, only, refused, written

SUBSPACE = {"class_path": "Subspace", "init_args": {"k": 3}}
CONFIGS = Path(__file__).resolve().parents[2] / "configs"
STUDIES = [
    path
    for study in ("scouts", "scouts-alphabets", "people", "real-nets", "real-nets-minilm")
    for path in grids.configs(CONFIGS / f"{study}.yaml")
]
STEPS: dict[str, Any] = {"steps": 2, "head": {"class_path": "Zeros"}}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scouts(**given: Any) -> dict[str, Any]:
    values = config_of("scout", 2)
    values["learner"]["init_args"] |= given
    return values


def target(**given: Any) -> dict[str, Any]:
    values = {key: one for key, one in config_of("scout").items() if key != "learner"}
    return {**values, "name": "target", "start": "scouts.yaml", "adaptation": STEPS, **given}


def ready(values: dict[str, Any]) -> Run:
    return prepare(config.parse(values))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: f"{path.parent.stem}/{path.name}")
def test_every_row_of_the_studies_has_values_to_choose_from(path: Path) -> None:
    """A value of `select` that a row's rule does not have would end the study in the middle."""
    experiment = config.load(path, [])
    given = experiment.select or {}
    assert len(candidates(experiment)) == math.prod(len(values) for values in given.values())
    assert experiment.family


def test_from_scouts_to_k_numbers_of_a_person(here: Path) -> None:
    written(here, scouts(directions=4, displacements="kept"), "scouts.yaml")
    path = written(here, target(transforms=[SUBSPACE]))
    assert metatl("run", path).code == 0
    assert len(list((here / "kept").glob("*.npy"))) == 2
    folder = only(here / "runs" / "target")
    learned = store.load_transfer(folder / "transfer.safetensors")
    assert bool((learned.buffers["subspace.blocks.0.0.weight"] != 0).any())
    scores = (folder / "episodes.npy").read_bytes()
    (folder / "report.json").unlink()
    assert metatl("run", path).code == 0
    assert only(here / "runs" / "target") == folder  # a folder that filled meanwhile is no other run
    assert (folder / "report.json").is_file()
    assert (folder / "episodes.npy").read_bytes() == scores
    one = load(folder).adapt(torch.rand(6, 1, 16, 16), [0, 1, 2] * 2)
    moved = {
        n for n, leaf in one.transfer.params.items() if not torch.equal(leaf, learned.params.get(n, leaf[:0]))
    }
    assert moved == {"subspace.z", "head.weight", "head.bias"}


def test_an_output_layer_that_is_carried_moves_along_too(here: Path) -> None:
    """A person is z alone: scouts displaced the output layer, which has a part in every direction."""
    learned = {"steps": 3, "head": {"class_path": "Learned"}}
    tasks = {"way": 3, "shot": 2, "query": 2}
    values = scouts(directions=4, displacements="kept", adaptation=learned, tasks=tasks)
    written(
        here, {**values, "adaptation": learned, "evaluation": {"tasks": tasks, "episodes": 2}}, "scouts.yaml"
    )
    only_z = {"class_path": "ByName", "init_args": {"rules": [["^subspace", 1], ["", 0]]}}
    row = target(transforms=[SUBSPACE], adaptation=learned, guide=only_z)
    path = written(here, {**row, "evaluation": {"tasks": tasks, "episodes": 2}})
    assert metatl("run", path).code == 0
    folder = only(here / "runs" / "target")
    carried = store.load_transfer(folder / "transfer.safetensors")
    assert bool((carried.buffers["subspace.head.weight"] != 0).any())
    assert store.load_report(folder).facts["trainable"] == 3


def test_where_displacements_lie_names_no_run_and_what_came_later_names_none_of_before() -> None:
    one, other = (ready(scouts(directions=4, displacements=place)).digest for place in ("a", "b"))
    plain = {ready(scouts(**given)).digest for given in ({}, {"directions": 0}, {"labels": "own"})}
    assert one == other
    assert len(plain) == 1
    assert plain.isdisjoint({one, ready(scouts(labels="shuffled")).digest})


@pytest.mark.parametrize(
    "given",
    [
        {"transforms": [SUBSPACE]},
        {"transforms": [{"class_path": "MeanStep"}]},
        {"adaptation": {**STEPS, "terms": [{"class_path": "TaskLoss"}, {"class_path": "GaussianPrior"}]}},
        {
            "adaptation": {
                **STEPS,
                "rule": {"class_path": "Preconditioned", "init_args": {"rule": {"class_path": "SGD"}}},
            }
        },
    ],
)
def test_a_start_without_directions_is_refused_in_one_line(here: Path, given: dict[str, Any]) -> None:
    written(here, scouts(), "scouts.yaml")
    assert "learner Scout" in refused("run", written(here, target(**given)))
    assert "learner Scout" in refused("run", written(here, target(**given, start=None), "b.yaml"))
