"""Stopping a learner after any step and going on from its checkpoint is the uninterrupted run, bit by bit."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
import torch
from torch import nn

from metatl.adapt import Descent
from metatl.data import Tasks
from metatl.engines import Batched
from metatl.guides import PerStep, TopK
from metatl.heads import Prototypes, Zeros
from metatl.lab import store
from metatl.learners import Episodic, Keep, Learner, Reptile, Scout, SourceFisher, State, Supervised
from metatl.net import Net
from metatl.objectives import CrossEntropy
from metatl.rules import SGD, Adam, AdamW, CarriedAdam, CosineDecay
from metatl.train import Checkpoints, train
from metatl.types import MetatlError, Metrics
from metatl.views import MaskColumns, Mixup
from tests.toys import INPUTS, assert_bitwise, toy_data, toy_net

TASKS = Tasks(3, 2, 3)
LEARNERS: dict[str, Learner] = {
    "supervised": Supervised(6, 16, Adam(0.01)),
    "supervised, views": Supervised(
        *(6, 16, Adam(0.01), (CrossEntropy(),), CosineDecay(2, 0.1)),
        clip_norm=0.5,
        views=(MaskColumns(0.3), Mixup(1.0)),
    ),
    "maml, shuffled": Episodic(
        *(6, 3, TASKS, Descent(SGD(0.1), 3, batch_size=2, shuffle=True, views=(MaskColumns(0.3),))),
        clip_norm=0.1,
    ),
    "maml": Episodic(6, 3, TASKS, Descent(SGD(0.1), 2), AdamW(0.01), schedule="cosine", clip=0.1),
    "maml++": Episodic(
        6, 3, TASKS, Descent(SGD(0.1), 2), guide=PerStep(2), learn="init_and_guide", multi_step=4
    ),
    "protonet": Episodic(6, 3, TASKS, Descent(steps=0, head=Prototypes()), SGD(0.1, 0.9)),
    "reptile": Reptile(6, 2, Tasks(3, 4, 0), Descent(CarriedAdam(0.01), 3, batch_size=6, moments="batch")),
    "scout": Scout(6, 2, Tasks(3, 4, 0), Descent(SGD(0.1, 0.9), 3, Zeros(), batch_size=6)),
    "source fisher": SourceFisher(6, 8, shape=TopK(0.9), way=2),
    "keep": Keep(),
}


def begin(learner: Learner) -> tuple[State, list[Metrics]]:
    torch.manual_seed(1)
    net = toy_net(norm=True, outputs=learner.outputs(toy_data()), dtype=torch.float32)
    return learner.init(net, net.start()), []


def go_on(learner: Learner, state: State, until: int) -> tuple[State, list[Metrics]]:
    """Steps as `train` takes them, up to this one."""
    torch.manual_seed(1)
    net = toy_net(norm=True, outputs=learner.outputs(toy_data()), dtype=torch.float32)
    seen: list[Metrics] = []
    last = [state]

    def watch(state: State, metrics: Metrics) -> None:
        last[0] = state
        seen.append(metrics)
        if state.step == until:
            raise InterruptedError

    if until:
        with contextlib.suppress(InterruptedError):
            train(learner, net, Batched(), state, toy_data(), 5, [watch])
    return last[0], seen


@pytest.mark.parametrize("name", LEARNERS)
def test_resumed_is_uninterrupted(name: str, tmp_path: Path) -> None:
    learner = LEARNERS[name]
    whole, metrics = go_on(learner, begin(learner)[0], learner.steps)
    half, first = go_on(learner, begin(learner)[0], learner.steps // 2)
    checkpoints = Checkpoints(tmp_path / "last.ckpt")
    checkpoints.now(half, 1.5)
    torch.manual_seed(99)  # a fresh process has another generator state
    found = checkpoints.resume()
    assert found is not None
    loaded, seconds = found
    assert (loaded.step, seconds) == (learner.steps // 2, 1.5)
    again, second = go_on(learner, loaded, learner.steps)
    assert again.step == whole.step
    for ours, theirs in [
        (again.transfer.params, whole.transfer.params),
        (again.transfer.guide, whole.transfer.guide),
        (again.transfer.buffers, whole.transfer.buffers),
        (again.transfer.memory, whole.transfer.memory),
        *((again.memory[role], whole.memory[role]) for role in whole.memory),
    ]:
        assert_bitwise(ours, theirs)
    for ours, theirs in zip([*first, *second], metrics, strict=True):
        assert_bitwise(ours, theirs)
    if learner.steps:
        start = begin(learner)[0]
        moved = {**half.transfer.params, **half.memory.get("sum", {})}
        still = {**start.transfer.params, **start.memory.get("sum", {})}
        assert any(not torch.equal(moved[n], still[n]) for n in moved), "nothing was learned"


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path: Path) -> None:
    learner = LEARNERS["maml"]
    one, _ = go_on(learner, begin(learner)[0], 1)
    two, _ = go_on(learner, begin(learner)[0], 2)
    checkpoints = Checkpoints(tmp_path / "last.ckpt")
    assert checkpoints.resume() is None
    checkpoints.now(one, 0.0)
    checkpoints.now(two, 0.0)
    damaged = (tmp_path / "last.ckpt").read_bytes()[:-5]
    (tmp_path / "last.ckpt").write_bytes(damaged)
    found = checkpoints.resume()
    assert found is not None
    assert found[0].step == 1
    assert_bitwise(found[0].transfer.params, one.transfer.params)
    (tmp_path / "last.ckpt.previous").write_bytes(damaged)
    with pytest.raises(MetatlError, match="damaged"):
        checkpoints.resume()


def test_steps_draw_what_they_draw_wherever_they_start() -> None:
    data = toy_data()
    for learner in LEARNERS.values():
        if learner.steps:
            one, again, other = (learner.draw(data, 5, step) for step in (3, 3, 4))
            first = next(iter(_tensors(one)))
            assert torch.equal(first, next(iter(_tensors(again))))
            assert not torch.equal(first, next(iter(_tensors(other))))


def _tensors(value: object) -> list[torch.Tensor]:
    from metatl import tree

    return list(tree.leaves(value))


def test_the_state_holds_the_learner_whole(tmp_path: Path) -> None:
    """Roles and orders of names survive the file: optimisers zip by them."""
    learner = LEARNERS["maml++"]
    state, _ = go_on(learner, begin(learner)[0], 2)
    store.save_checkpoint(tmp_path / "x", state)
    loaded, _ = store.load_checkpoint(tmp_path / "x")
    assert {role: list(ts) for role, ts in loaded.memory.items()} == {
        role: list(ts) for role, ts in state.memory.items()
    }
    assert list(loaded.transfer.guide) == list(state.transfer.guide)


def test_what_dropout_draws_depends_on_seed_and_step_alone() -> None:
    """Pre-training with dropout, stopped and resumed after other random numbers were drawn."""
    data, learner = toy_data(), Supervised(4, 16)
    torch.manual_seed(1)
    made = nn.Sequential(nn.Linear(INPUTS, 16), nn.Dropout(0.5), nn.Linear(16, learner.outputs(data)))
    net = Net.of(made)
    seen: list[State] = []
    begun = learner.init(net, net.start())
    train(learner, net, Batched(), begun, data, 5, [lambda state, _: seen.append(state)])
    torch.rand(17)
    resumed = train(learner, net, Batched(), seen[1], data, 5)
    assert_bitwise(resumed.transfer.params, seen[-1].transfer.params)
    other = train(learner, net, Batched(), begun, data, 6)
    assert not torch.equal(other.transfer.params["0.weight"], resumed.transfer.params["0.weight"])
