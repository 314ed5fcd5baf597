"""The card gives what the processor gives: outer gradients, evaluation, scouts, sampling, a short run."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from metatl import tree
from metatl.adapt import displacement
from metatl.capture import cuda_graph
from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.source import Tasks
from metatl.engines import Auto, Batched, Engine, Loop
from metatl.evaluation.evaluate import Evaluation, evaluate, to_device
from metatl.lab import cli
from metatl.learners import Episodic, State
from metatl.net import Net
from metatl.train import train
from metatl.types import Batch, Episode, Metrics, Transfer
from tests.cases import MAIN, NETS, OTHERS, Case, carried, episodes_for, net_of, sgd, worst
from tests.outer import Outer, outer_gradient

pytestmark = pytest.mark.gpu

CARD = "cuda"


@pytest.fixture(autouse=True)
def _exact() -> Iterator[None]:
    """Float32 convolutions in full, as products are by default: TF32 is a choice of runs, not of checks."""
    before = torch.backends.cudnn.conv.fp32_precision
    torch.backends.cudnn.conv.fp32_precision = "ieee"
    yield
    torch.backends.cudnn.conv.fp32_precision = before


def on_card(net: Net, transfer: Transfer, episodes: Episode) -> tuple[Net, Transfer, Episode]:
    """The same on the card; the module is moved in place."""
    net.module.to(CARD)
    moved = (Batch(part.x.to(CARD), part.y.to(CARD)) for part in episodes)
    return net, to_device(transfer, CARD), Episode(*moved)


def both(engine: Engine, name: str, case: Case, dtype: torch.dtype = torch.float64) -> float:
    """The largest difference of the card's outer gradient from the processor's loop, as in `worst`."""
    net, shape = net_of(name, dtype)
    transfer, episodes = carried(net, case.guide), episodes_for(shape, dtype=dtype)
    expected, _ = outer_gradient(Loop(), net, transfer, case.adaptation, episodes, case.outer)
    weights = case.outer.step_weights
    outer = Outer(case.outer.unroll, case.outer.learn_guide, None if weights is None else weights.to(CARD))
    net, transfer, episodes = on_card(net, transfer, episodes)
    found, _ = outer_gradient(engine, net, transfer, case.adaptation, episodes, outer)
    return worst(type(found)(tree.to(found.params, "cpu"), tree.to(found.guide, "cpu")), expected)


@pytest.mark.parametrize("case", MAIN)
@pytest.mark.parametrize("net", NETS)
def test_outer_gradients_are_the_processors(net: str, case: str) -> None:
    assert both(Batched(), net, MAIN[case]) < 1e-8


@pytest.mark.parametrize("case", OTHERS)
@pytest.mark.parametrize("engine", [Batched(2), Loop(), Auto()], ids=lambda engine: type(engine).__name__)
def test_every_adaptation_on_every_engine(engine: Engine, case: str) -> None:
    assert both(engine, "conv4, stride", OTHERS[case]) < 1e-8


@pytest.mark.parametrize("net", ["conv4, stride", "conv4, pool", "resnet12"])
def test_float32_is_close(net: str) -> None:
    assert both(Batched(), net, Case(sgd(1, 0.1)), torch.float32) < 1e-3


@pytest.mark.peers
def test_peers_on_the_card(higher: Any, learn2learn: Any) -> None:
    from metatl.engines import Higher, Learn2Learn

    for engine in (Higher(), Learn2Learn()):
        assert both(engine, "conv4, stride", MAIN["sgd, 1 step"]) < 1e-8


def noise() -> ClassData:
    bank = Bank.sorted_by_class(
        torch.randint(0, 256, (200, 1, 16, 16), dtype=torch.uint8), [20] * 10, list("abcdefghij"), 1 / 255
    ).turned()
    return ClassData("noise", {"meta_train": bank, "meta_test": bank}, recipe="noise")


def on(data: ClassData, device: str) -> ClassData:
    return ClassData("noise", {split: bank.to(device) for split, bank in data.banks.items()}, recipe="noise")


def test_episodes_are_the_same_on_the_card() -> None:
    data, tasks = noise(), Tasks(5, 2, 3)
    here, there = (on(data, device).draw("meta_train", tasks, 3, 10, 7) for device in ("cpu", CARD))
    for mine, other in zip(here, there, strict=True):
        assert other.x.device.type == CARD
        assert bool((mine.x == other.x.cpu()).all())
        assert bool((mine.y == other.y.cpu()).all())


def test_evaluation_and_scouts_are_the_processors() -> None:
    net, _ = net_of("conv4, stride")
    data, start = noise(), net.start()
    start = Transfer(
        *(tree.map(torch.Tensor.float, part) for part in (start.params, start.guide, start.buffers))
    )
    net.module.float()
    which = Evaluation(Tasks(3, 1, 5), episodes=20, chunk=10)
    here = evaluate(net, start, sgd(2, 0.1), data, which, Batched())
    episodes = data.draw("meta_train", Tasks(3, 2, 0), 0, 0, 4)

    def scouts(engine: Engine, start: Transfer, episodes: Episode) -> Any:
        return engine.map(lambda task: displacement(net, sgd(2, 0.1), start, task.support), episodes)

    moved = scouts(Loop(), start, episodes)
    net, there_start, there_episodes = on_card(net, start, episodes)
    there = evaluate(net, there_start, sgd(2, 0.1), on(data, CARD), which, Batched())
    assert abs(here.scores - there.scores).mean() < 0.02, "a prediction at the border may tip over"
    assert here.protocol["episodes_hash"] == there.protocol["episodes_hash"]
    torch.testing.assert_close(
        tree.to(scouts(Batched(), there_start, there_episodes), "cpu"), moved, rtol=1e-3, atol=1e-4
    )


def test_a_training_step_does_not_wait_for_the_card() -> None:
    net, _ = net_of("conv4, stride", torch.float32)
    net.module.to(CARD)
    learner = Episodic(meta_batch=4, tasks=Tasks(3, 1, 2), adaptation=sgd(1, 0.1))
    data = on(noise(), CARD)
    state = learner.init(net, to_device(net.start(), CARD))
    state, _ = learner.step(net, Batched(), state, learner.draw(data, 0, 0))
    drawn = learner.draw(data, 0, 1)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        grads, _ = outer_gradient(Batched(), net, state.transfer, learner.adaptation, drawn, Outer())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(g.device.type == CARD for g in grads.params.values())


@pytest.mark.filterwarnings("error:the step runs uncaptured")
@pytest.mark.parametrize("steps", [5, 250], ids=["as it stands", "recorded"])
@pytest.mark.parametrize("net", ["conv4, stride", "conv4, pool"])
def test_a_whole_step_is_one_graph(net: str, steps: int) -> None:
    """Sampling, outer gradient and Adam captured: the same five steps."""
    made, _ = net_of(net, torch.float32)
    made.module.to(CARD)
    learner = Episodic(steps, 4, Tasks(3, 1, 2), sgd(2, 0.1), schedule="cosine", learn="init_and_guide")
    data, ends = on(noise(), CARD), list[State]()

    def watch(state: State, metrics: Metrics) -> None:
        ends[:] = [state]
        if state.step == 5:
            raise InterruptedError

    for graph in (cuda_graph, None):
        start = learner.init(made, to_device(made.start(), CARD))
        with contextlib.suppress(InterruptedError):
            train(learner, made, Batched(), start, data, 0, [watch], graph)
        if graph is not None:
            captured = {name: leaf.clone() for name, leaf in ends[0].transfer.params.items()}
    for name, leaf in ends[0].transfer.params.items():
        torch.testing.assert_close(captured[name], leaf, rtol=1e-2, atol=1e-3)


def test_profile_on_the_card(tmp_path: Path) -> None:
    out = tmp_path / "profile.json"
    words = [
        "profile",
        "W1",
        "--device",
        CARD,
        "--engines",
        "batched,loop",
        "--repeats",
        "1",
        "--seconds",
        "0",
    ]
    assert cli.main([*words, "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["machine"]["device"] == torch.cuda.get_device_name()
    assert all(row["tasks_per_second"] > 0 for row in found["rows"])


RUN = """
name: card
data: {class_path: Sinusoid}
model: {class_path: MLP}
learner: {class_path: Episodic, init_args: {steps: 20, meta_batch: 4, tasks: {shot: 10, query: 10}}}
evaluation: {tasks: {way: 2, shot: 10, query: 10}, episodes: 10}
device: cuda
"""


def test_a_run_on_the_card(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text(RUN)
    assert cli.main(["run", str(tmp_path / "card.yaml"), "--runs", str(tmp_path / "runs")]) == 0
    assert list((tmp_path / "runs").rglob("transfer.safetensors"))
