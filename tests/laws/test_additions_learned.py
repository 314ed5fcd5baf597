"""Added weights of every kind under learners, scouts and people: what moves, and what a delta holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from metatl import load
from metatl.lab import config, store
from metatl.lab.run import learn, prepare
from tests.commands import config_of, metatl, only, written

GIVEN = {
    "lora": {"class_path": "LoRA", "init_args": {"r": 2, "dropout": 0.1}},
    "dora": {"class_path": "DoRA", "init_args": {"r": 2}},
    "ia3": {"class_path": "IA3", "init_args": {"inputs": "body"}},
    "adapters": {"class_path": "Adapters", "init_args": {"m": 2, "targets": "body"}},
}


@pytest.mark.parametrize("given", GIVEN.values(), ids=GIVEN)
def test_every_learner_leaves_the_base_alone(
    given: Any, tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In scouts, too."""
    monkeypatch.chdir(tmp_path)
    for name in ("supervised", "scout"):
        values = config_of(name) | {"model": {"class_path": "MLP"}, "transforms": [given]}
        values["guide"] = {"class_path": "Ones"}
        run = prepare(config.parse(values))
        learned, _ = learn(run)
        for n in run.net.frozen:
            assert torch.equal(learned.params[n], run.first.params[n]), (name, n)
            assert not bool(learned.guide[n].any()), (name, n)
        own = [n for one in run.net.additions for n in one.names()]
        assert any(bool(learned.guide[n].any()) for n in own), name


def test_a_personalised_model_is_a_delta_of_the_added_weights(
    tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a person's file holds is what was added, and the output layer."""
    monkeypatch.chdir(tmp_path)
    assert metatl("run", written(tmp_path, config_of("lora") | {"transforms": [GIVEN["dora"]]})).code == 0
    model = load(only(tmp_path / "runs"))
    x = torch.rand(6, 1, 16, 16)
    mine = model.adapt(x, [0, 1, 2] * 2)
    mine.save_delta(tmp_path / "mine.delta")
    changed = store.apply_delta(tmp_path / "mine.delta", model.transfer).params
    moved = {n for n, leaf in changed.items() if not torch.equal(leaf, model.transfer.params[n])}
    own = {n for one in model.net.additions for n in one.names()}
    assert moved
    assert moved <= own | {model.net.head_weight, model.net.head_bias}
    whole = sum(leaf.numel() * 4 for leaf in model.transfer.params.values())
    assert (tmp_path / "mine.delta").stat().st_size < whole / 2
