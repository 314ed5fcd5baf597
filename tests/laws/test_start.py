"""Starts: what was learned on other data is what a run starts from; what does not fit is said in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl import load
from metatl.data import Arrays, ClassData, Glyphs, Tasks
from metatl.data.bank import Bank
from metatl.lab import config
from metatl.lab.benchmark import run_of
from metatl.lab.run import Run, learn, prepare, report
from metatl.learners import Scout
from metatl.types import MetatlError

EASY = "evaluation: {tasks: {way: 2, shot: 1, query: 1}, episodes: 2, select_episodes: 1}"
PRETRAIN = f"""
name: pretrain
data: {{class_path: Arrays, init_args: {{path: digits.npz, train: [a, b, c], val: [d, e], test: [f, g]}}}}
model: {{class_path: CNN, init_args: {{filters: [2, 3], hidden: 5}}}}
learner: {{class_path: Supervised, init_args: {{steps: 3, batch_size: 4}}}}
adaptation: {{head: {{class_path: Zeros}}, steps: 1}}
{EASY}
"""
SCOUTS = """
base: pretrain.yaml
name: scouts
start: pretrain.yaml
learner:
  class_path: Scout
  init_args: {steps: 1, scouts: 3, tasks: {way: 2, shot: 2, query: 0, subsets: enumerated}}
"""
TARGET = """
name: target
data:
  class_path: Glyphs
  init_args: {train_classes: 6, val_classes: 5, test_classes: 5, examples: 6, size: 12}
model: {class_path: CNN, init_args: {filters: [2, 3], hidden: 5}}
start: scouts.yaml
adaptation: {head: {class_path: Zeros}, steps: 1}
evaluation: {tasks: {way: 4, shot: 1, query: 2}, episodes: 2, select_episodes: 1}
"""


@pytest.fixture
def here(tmp_path: Path, cache_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Configs of a chain from one data set to another, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("pretrain", PRETRAIN), ("scouts", SCOUTS), ("target", TARGET)):
        (tmp_path / f"{name}.yaml").write_text(text)
    images = np.random.default_rng(0).integers(0, 256, (28, 12, 12), dtype=np.uint8)
    np.savez("digits.npz", x=images, y=np.repeat(list("abcdefg"), 4))
    return tmp_path


def ready(name: str, *overrides: str) -> Run:
    return prepare(config.load(Path(name), overrides), overrides)


def refused(name: str, *overrides: str) -> str:
    with pytest.raises(MetatlError) as error:
        ready(name, *overrides)
    return str(error.value)


def test_what_was_learned_on_other_data_is_carried(here: Path) -> None:
    run = ready("target.yaml")
    chain = [run.start, run.start and run.start.start]
    assert [type(own.experiment.data) for own in chain if own] == [Arrays, Arrays]
    transfer, _ = learn(run)
    assert chain[0] is not None
    assert chain[1] is not None
    scouted, pretrained = learn(chain[0])[0], learn(chain[1])[0]
    for name, leaf in pretrained.params.items():
        assert torch.equal(transfer.params[name], leaf), name
        assert torch.equal(transfer.guide[name], scouted.guide[name]), name
        assert not torch.equal(leaf, chain[1].first.params[name]), name
    made = report(run)
    assert (made.protocol["data"], made.protocol["way"], made.protocol["split"]) == ("glyphs", 4, "meta_test")


def test_another_start_is_another_run(here: Path) -> None:
    digest = ready("target.yaml").digest
    assert ready("target.yaml", "--start", "pretrain.yaml").digest != digest
    (here / "pretrain.yaml").write_text(PRETRAIN.replace("[a, b, c]", "[a, b]"))
    assert ready("target.yaml").digest != digest


def test_values_of_the_data_stay_with_the_run_that_has_such_data(here: Path) -> None:
    """`examples` is no word of the start's data; the seed is, and stays with the target all the same."""
    run = ready("target.yaml", "--data.init_args.examples", "7", "--seed", "3", "--data.init_args.seed", "5")
    data: Any = run.experiment.data
    assert (data.examples, data.seed, run.experiment.seed) == (7, 5, 3)
    while run.start is not None:
        run = run.start
        own: Any = run.experiment.data
        assert (type(own), own.seed, run.experiment.seed) == (Arrays, 0, 3)


def test_values_of_the_data_reach_a_start_on_such_data(here: Path) -> None:
    run = ready("scouts.yaml", "--data.init_args.train", "[a,b]")
    assert run.start is not None
    assert [own.data.classes("meta_train") for own in (run, run.start)] == [2, 2]


def test_another_class_of_data_replaces_the_starts_too(here: Path) -> None:
    other = "{class_path: Glyphs, init_args: {train_classes: 7, examples: 9, size: 12}}"
    for words in (["--data", other], [f"--data={other}"]):
        run: Run | None = ready("scouts.yaml", *words)
        while run is not None:
            assert type(run.experiment.data) is Glyphs
            assert run.data.classes("meta_train") == 7
            run = run.start


def test_examples_of_another_shape_are_one_line(here: Path) -> None:
    said = refused("target.yaml", "--data.init_args.size", "16")
    assert "start scouts.yaml does not fit the model: weight 'hidden.0.weight' is [5, 27] there" in said
    assert "[5, 48] here (examples are [1, 12, 12] there and [1, 16, 16] here)" in said
    flat = "{class_path: Conv4, init_args: {filters: 2, form: pool}}"
    (here / "pretrain.yaml").write_text(PRETRAIN.replace("digits.npz", "large.npz"))
    np.savez("large.npz", x=np.zeros((28, 16, 16), np.uint8), y=np.repeat(list("abcdefg"), 4))
    said = refused("target.yaml", "--model", flat, "--data.init_args.size", "32", "--start", "pretrain.yaml")
    assert "weight 'head.weight' is [3, 2] there and [6, 8] here (examples are" in said
    stride = "{class_path: Conv4, init_args: {filters: 2}}"  # a mean over space takes images of any size
    run = ready("target.yaml", "--model", stride, "--data.init_args.size", "32", "--start", "pretrain.yaml")
    assert learn(run)[0].params["head.weight"].shape == (3, 2)


def test_scouts_of_a_run_are_every_subset_once() -> None:
    """Enumerated subsets: 6 groups of 20 scouts are the 120 triples of ten digits, whatever the seed."""
    x = torch.arange(10.0).repeat_interleave(4)[:, None]
    data = ClassData("digits", {"meta_train": Bank.sorted_by_class(x, [4] * 10, list("0123456789"))})
    scout = Scout(steps=6, scouts=20, tasks=Tasks(3, 4, 0, "enumerated"))
    for seed in (0, 7):
        seen = [
            tuple(sorted({int(value) for value in one.flatten()}))
            for step in range(scout.steps)
            for one in scout.draw(data, seed, step).support.x
        ]
        assert len(seen) == len(set(seen)) == 120
        assert all(len(triple) == 3 for triple in seen)


def test_a_carried_output_layer_of_the_start_s_own_way_is_opened_again(here: Path) -> None:
    """Its rows are neither those of the learner's classes (3 of meta_train) nor written in the config."""
    learned = (
        "{class_path: Episodic, init_args: {steps: 1, meta_batch: 1, tasks: {way: 2, shot: 1, query: 1}}}"
    )
    carried = "adaptation: {head: {class_path: Learned}, steps: 1}"
    (here / "maml.yaml").write_text(f"base: pretrain.yaml\nname: maml\nlearner: {learned}\n{carried}\n")
    keep = f"base: pretrain.yaml\nname: keep\nstart: maml.yaml\nlearner: {{class_path: Keep}}\n{carried}\n"
    (here / "keep.yaml").write_text(keep)
    run = ready("keep.yaml")
    transfer, _ = learn(run)
    report(run)
    opened = load(run.folder)
    assert torch.equal(
        opened.transfer.params[opened.net.head_weight], transfer.params[opened.net.head_weight]
    )
    x = torch.rand(4, 1, 12, 12)
    assert len(opened.adapt(x, [0, 1, 0, 1]).predict(x)) == 4
    assert run_of(run.folder).digest == run.digest
