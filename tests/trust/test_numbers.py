"""Numbers that go wrong: found within one recording interval, named, and the last good transfer is kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metatl.adapt import Descent
from metatl.data import Bank, ClassData, Tasks
from metatl.engines import Batched, Loop
from metatl.guides.shape import MinMax, TopK
from metatl.heads import Zeros
from metatl.lab import store
from metatl.learners import Episodic, Reptile, Scout, State
from metatl.models import MLP
from metatl.net import Net
from metatl.rules import SGD
from metatl.train import Checkpoints, check_finite, train
from metatl.types import Batch, Episode, MetatlError, Metrics, Split
from tests import commands
from tests.commands import config_of, metatl, only, refused, written
from tests.toys import INPUTS, assert_bitwise, assert_close, toy_data

TASKS = Tasks(3, 2, 3)
MAML = Episodic(6, 4, TASKS, Descent(SGD(0.1), 2), SGD(0.1))


pytestmark = pytest.mark.usefixtures("own_cache")


@dataclass(frozen=True)
class Poisoned:
    """Toy data of which some episodes hold a value that is not finite, or far too large."""

    bad: tuple[int, ...]
    value: float
    kind: str = "classification"

    def outputs(self, tasks: Tasks) -> int:
        return tasks.way

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        drawn = toy_data().draw(split, tasks, seed, first, count)
        x = drawn.support.x.clone()
        for index in self.bad:
            if first <= index < first + count:
                x[index - first, 0, 0] = self.value
        return Episode(Batch(x, drawn.support.y), drawn.query)


def own_net() -> Net:
    """ReLUs: large values stay large."""
    torch.manual_seed(1)
    return Net.of(MLP((INPUTS,), 3, (8,)))


def learned(learner: Any, data: Any, engine: Any, until: int) -> list[tuple[State, Metrics]]:
    net = own_net()
    seen: list[tuple[State, Metrics]] = []
    state = learner.init(net, net.start())
    train(replace(learner, steps=until), net, engine, state, data, 5, [lambda *now: seen.append(now)])
    return seen


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_bad_value_ends_the_run_at_the_next_record(value: float) -> None:
    *_, (state, metrics) = learned(MAML, Poisoned((9,), value), Batched(), 3)
    with pytest.raises(MetatlError, match=r"is nan at step 3: the run has diverged"):
        check_finite(state, metrics)


@pytest.mark.parametrize(
    "engine", [Batched(), Loop(), Batched(tasks_per_chunk=2)], ids=["batched", "loop", "two"]
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_bad_tasks_are_skipped_and_counted(engine: Any, value: float) -> None:
    """Episodes 5 and 6 lie in the second meta-batch of four: it is the mean over episodes 4 and 7."""
    skipping = replace(MAML, skip_bad_tasks=True)
    seen = learned(skipping, Poisoned((5, 6), value), engine, 3)
    plain = learned(MAML, toy_data(), engine, 3)
    assert_bitwise(seen[0][0].transfer.params, plain[0][0].transfer.params)
    assert [int(metrics["tasks_skipped"]) for _, metrics in seen] == [0, 2, 2]
    assert [int(state.memory["skipped"]["tasks"]) for state, _ in seen] == [0, 2, 2]
    for state, metrics in seen:
        check_finite(state, metrics)
    assert skipping.remark(seen[0][0]) == ""
    assert skipping.remark(seen[2][0]) == "2 of 12 tasks skipped: loss or gradient not finite"
    before, data = plain[0][0], toy_data()
    net = own_net()
    good = [data.draw("meta_train", TASKS, 5, index, 1) for index in (4, 7)]
    loss = MAML.loss(net, before)
    each = [engine.grad(loss, loss.variables, tasks)[0] for tasks in good]
    mean = {n: (each[0][f"params.{n}"] + each[1][f"params.{n}"]) / 2 for n in before.transfer.params}
    expected = {n: p - 0.1 * mean[n] for n, p in before.transfer.params.items()}
    assert_close(seen[1][0].transfer.params, expected, 1e-5)


def test_skipping_changes_nothing_where_all_is_well() -> None:
    seen, plain = (
        learned(replace(MAML, skip_bad_tasks=True), toy_data(), Batched(), 4),
        learned(MAML, toy_data(), Batched(), 4),
    )
    assert_bitwise(seen[-1][0].transfer.params, plain[-1][0].transfer.params)


def test_a_meta_batch_without_a_good_task_ends_the_run() -> None:
    *_, (state, metrics) = learned(
        replace(MAML, skip_bad_tasks=True), Poisoned((4, 5, 6, 7), float("nan")), Batched(), 2
    )
    with pytest.raises(MetatlError, match="has diverged"):
        check_finite(state, metrics)


def test_skipped_tasks_are_reported_and_their_run_resumes(tmp_path: Path) -> None:
    """An inner rate at which some tasks explode and others do not."""
    values = config_of("maml", 12)
    given = values["learner"]["init_args"]
    given |= {
        "skip_bad_tasks": True,
        "adaptation": {"steps": 5, "rule": {"class_path": "SGD", "init_args": {"lr": 0.3}}},
    }
    given |= {"meta_batch": 12, "rule": {"class_path": "SGD", "init_args": {"lr": 1e-30}}}
    path = written(tmp_path, values)
    found = metatl("run", path, "--learn-only", "--runs", tmp_path / "runs")
    assert found.code == 0, found
    told = found.lines[-1]
    assert told.startswith("maml: warning, step ")
    assert "tasks skipped: loss or gradient not finite" in told
    run = only(tmp_path / "runs")
    last = commands.lines_of(run)[-1]
    assert 0 < last["meta_train/tasks_skipped"] < 144
    assert (
        f"{int(last['meta_train/tasks_skipped'])} of 144 tasks skipped"
        in store.read_json(run / "learned.json")["remark"]
    )
    torch.set_num_threads(1)
    words = ["run", path, "--learn-only", "--runs", tmp_path / "killed"]
    commands.killed_until_done(words, tmp_path / "log", 3, longest=0.4)
    name = "transfer.safetensors"
    assert (only(tmp_path / "killed") / name).read_bytes() == (run / name).read_bytes()


def test_a_run_that_diverges_keeps_its_last_good_state(tmp_path: Path) -> None:
    """The state that is not finite is never written, by time or by Ctrl-C."""
    values = config_of("maml", 40) | {"record_every": 10}
    values["learner"]["init_args"]["rule"] = {"class_path": "SGD", "init_args": {"lr": 40.0}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "due", lambda _: True)
        line = refused("run", written(tmp_path, values), "--runs", tmp_path / "runs")
    assert "the run has diverged" in line
    run = only(tmp_path / "runs")
    assert not (run / "transfer.safetensors").exists()
    state, _ = store.load_checkpoint(run / "last.ckpt")
    assert 0 < state.step < 40
    check_finite(state, {})
    again = refused("run", written(tmp_path, values), "--runs", tmp_path / "runs")
    assert "the run has diverged" in again


@pytest.mark.parametrize("value", [1e6, float("nan"), float("inf")])
def test_a_diverging_scout_is_left_out_and_named(value: float) -> None:
    """One outlier, squared, would flatten the guides of all."""
    scout = Scout(2, 5, Tasks(3, 4, 0), Descent(SGD(0.1), 3, Zeros(), moments="batch"))
    seen = learned(scout, Poisoned((7,), value), Batched(), 2)
    clean = learned(scout, toy_data(), Batched(), 2)
    assert [int(metrics["scouts_left_out"]) for _, metrics in seen] == [0, 1]
    state = seen[-1][0]
    assert state.memory["left_out"]["scouts"].tolist() == [7]
    assert "1 of 10 scouts left out (number 7)" in scout.remark(state)
    assert scout.remark(clean[-1][0]) == ""
    net = own_net()
    guides = [scout.finish(net, state).guide["body.0.weight"] for state in (seen[-1][0], clean[-1][0])]
    assert float((guides[0] - guides[1]).abs().mean()) < 0.15
    if value == 1e6:
        flat = learned(replace(scout, outlier=1e30), Poisoned((7,), value), Batched(), 2)
        assert float(scout.finish(net, flat[-1][0]).guide["body.0.weight"].median()) < 1e-3


def test_a_state_of_the_first_days_has_no_list_of_scouts() -> None:
    scout = Scout(2, 5, Tasks(3, 4, 0), Descent(SGD(0.1), 1, Zeros(), moments="batch"))
    net = own_net()
    begun = scout.init(net, net.start())
    old = State(begun.transfer, 0, {role: begun.memory[role] for role in ("sum", "count")})
    state, _ = scout.step(net, Batched(), old, scout.draw(toy_data(), 0, 0))
    assert set(state.memory) == {"sum", "count"}
    assert scout.remark(state) == ""


def test_a_diverging_reptile_is_noticed() -> None:
    reptile = Reptile(3, 2, Tasks(3, 4, 0), Descent(SGD(0.1), 2, moments="batch"))
    *_, (state, metrics) = learned(reptile, Poisoned((1,), float("inf")), Batched(), 1)
    with pytest.raises(MetatlError, match="displacement_norm"):
        check_finite(state, metrics)


def test_constant_statistics_make_finite_guides() -> None:
    for constant in (0.0, 3.0, 1e-30, 1e30):
        raw = {"a": torch.full((3, 4), constant), "b": torch.full((1,), constant)}
        for focus in ("zero_enforced_and_normalized", "raw", "zero_enforced", "normalized"):
            for scope in ("tensor", "global"):
                for temperature in ("room", "icy", "chilly", "warm", "evaporating", "freezing"):
                    guide = MinMax(scope=scope, focus=focus, temperature=temperature)(raw)  # type: ignore[arg-type]
                    assert all(bool(entry.isfinite().all()) for entry in guide.values()), (constant, focus)
        mask = TopK(0.5)(raw)
        assert sum(float(entry.sum()) for entry in mask.values()) == 6


def test_a_class_with_one_example_is_named() -> None:
    x, y = torch.randn(9, 4), [0, 0, 0, 0, 1, 1, 1, 1, 2]
    data = ClassData("own", {"meta_train": Bank.from_arrays(x, y, ["a", "b", "lonely"])})
    data.check("meta_train", Tasks(3, 1, 0))
    assert data.draw("meta_train", Tasks(3, 1, 0), 0, 0, 5).support.x.shape == (5, 3, 4)
    with pytest.raises(MetatlError, match="class 'lonely' in meta_train of own has 1 examples"):
        data.check("meta_train", Tasks(3, 1, 1))
