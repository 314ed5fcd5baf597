"""A step that reads and overwrites fixed memory is the step itself, and the host reads nothing inside it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from metatl.adapt import Descent
from metatl.capture import captured
from metatl.data import Data, Sinusoid, Tasks
from metatl.engines import Auto, Batched, Engine, Loop
from metatl.guides import ByName, PerStep
from metatl.heads import Prototypes, Zeros
from metatl.learners import Episodic, Learner, Reptile, State, Supervised
from metatl.models import MLP
from metatl.net import Net
from metatl.objectives import KLAnchor, TaskLoss
from metatl.rules import SGD, Adam, AdamW, CarriedAdam
from metatl.train import train
from metatl.types import Metrics
from tests.toys import toy_data, toy_net

TASKS = Tasks(3, 2, 3)
SEED = 5
LEARNERS: dict[str, Learner] = {
    "maml": Episodic(7, 3, TASKS, Descent(SGD(0.1), 2), AdamW(0.01), schedule="cosine", clip=0.1),
    "maml, recorded": Episodic(200, 3, TASKS, Descent(SGD(0.1), 1), Adam(0.01), schedule="linear"),
    "meta-sgd": Episodic(7, 3, TASKS, Descent(SGD(0.1), 1), learn="init_and_guide"),
    "maml++": Episodic(
        7, 3, TASKS, Descent(SGD(0.1), 2), guide=PerStep(2), learn="init_and_guide", multi_step=3
    ),
    "anil": Episodic(7, 3, TASKS, Descent(SGD(0.1), 2), guide=ByName((("^head", 1.0), ("", 0.0)))),
    "kl anchor": Episodic(
        7, 3, TASKS, Descent(SGD(0.1), 2, Prototypes(), (KLAnchor(0.5), TaskLoss())), unroll="first_order"
    ),
    "protonet": Episodic(7, 3, TASKS, Descent(steps=0, head=Prototypes()), SGD(0.1, 0.9)),
    "reptile": Reptile(7, 2, Tasks(3, 4, 0), Descent(CarriedAdam(0.01), 3, Zeros(), moments="batch")),
}


class NothingRead(TorchDispatchMode):
    """Refuses what a CUDA graph refuses: values that the host reads, tensors made of the host's values."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "is_nonzero", "equal", "lift_fresh", "nonzero"):
            raise RuntimeError(f"the host reads or makes a value: {name}")
        return func(*args, **(kwargs or {}))


def in_place(work: Callable[[], Metrics]) -> Callable[[], Metrics]:
    """What `cuda_graph` does, without a card: warm up, then work on the same memory again and again."""
    for _ in range(3):
        work()

    def again() -> Metrics:
        with NothingRead():
            return work()

    return again


def net_for(learner: Learner, data: Data) -> Net:
    torch.manual_seed(1)
    if data.kind == "regression":
        return Net.of(MLP((1,), 1, (8, 8)))
    return toy_net(norm=True, outputs=learner.outputs(data), dtype=torch.float32)


def trained(
    learner: Learner, data: Data, engine: Engine, graph: Any, steps: int = 7
) -> tuple[State, list[Metrics]]:
    """The first 7 steps of a run."""
    net, seen, last = net_for(learner, data), list[Metrics](), list[State]()

    def watch(state: State, metrics: Metrics) -> None:
        seen.append({name: value.clone() for name, value in metrics.items()})
        last[:] = [state]
        if state.step == steps:
            raise InterruptedError

    with contextlib.suppress(InterruptedError):
        train(learner, net, engine, learner.init(net, net.start()), data, SEED, [watch], graph)
    return last[0], seen


def tensors_of(state: State) -> dict[str, torch.Tensor]:
    carried = state.transfer
    named = {
        "params": carried.params,
        "guide": carried.guide,
        "buffers": carried.buffers,
        "rule": carried.memory,
        **state.memory,
    }
    return {f"{role}.{name}": leaf for role, group in named.items() for name, leaf in group.items()}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("engine", [Batched(), Batched(2), Auto()], ids=["batched", "chunks", "auto"])
@pytest.mark.parametrize("name", LEARNERS)
def test_captured_is_uncaptured(name: str, engine: Engine) -> None:
    data, learner = toy_data(), LEARNERS[name]
    ours, seen = trained(learner, data, engine, in_place)
    theirs, expected = trained(learner, data, engine, None)
    assert ours.step == theirs.step == 7
    found, wanted = tensors_of(ours), tensors_of(theirs)
    assert list(found) == list(wanted)
    for key, leaf in wanted.items():
        torch.testing.assert_close(
            found[key], leaf, rtol=1e-5, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}"
        )
    for mine, other in zip(seen, expected, strict=True):
        assert list(mine) == list(other)
        for key, value in other.items():
            torch.testing.assert_close(mine[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("error")
def test_sinusoid() -> None:
    learner = Episodic(7, 4, Tasks(2, 10, 10), Descent(SGD(0.01), 1), Adam(0.001))
    ours, _ = trained(learner, Sinusoid().load(), Batched(), in_place)
    theirs, _ = trained(learner, Sinusoid().load(), Batched(), None)
    for key, leaf in tensors_of(theirs).items():
        torch.testing.assert_close(tensors_of(ours)[key], leaf, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_captured_runs_uncaptured() -> None:
    """A learner, an engine, a step that draws random numbers: the same run, with a warning where it helps."""
    data, learner = toy_data(), LEARNERS["maml"]

    def never(_: Any) -> Any:
        raise AssertionError("captured")

    theirs, _ = trained(learner, data, Loop(), None)
    ours, _ = trained(learner, data, Loop(), never)
    assert all(map(torch.equal, tensors_of(ours).values(), tensors_of(theirs).values()))
    trained(Supervised(7, 16), data, Batched(), never)

    def fails(_: Any) -> Any:
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    with pytest.warns(RuntimeWarning, match="uncaptured, and slower: operation not permitted"):
        kept, _ = trained(learner, data, Batched(), fails)
    expected, _ = trained(learner, data, Batched(), None)
    assert all(map(torch.equal, tensors_of(kept).values(), tensors_of(expected).values()))


def test_wrong_numbers_and_random_ones_are_noticed() -> None:
    data, learner = toy_data(), LEARNERS["maml"]
    net = net_for(learner, data)
    state = learner.init(net, net.start())

    def step(state: State) -> tuple[State, Metrics]:
        return learner.step(net, Batched(), state, learner.draw(data, SEED, state.step))

    def lies(work: Callable[[], Metrics]) -> Callable[[], Metrics]:
        return dict

    with pytest.warns(RuntimeWarning, match="other numbers"):
        assert captured(step, state, lies) is None

    def draws(state: State) -> tuple[State, Metrics]:
        nn.init.normal_(torch.empty(3))
        return step(state)

    with pytest.warns(RuntimeWarning, match="random generator"):
        assert captured(draws, state, in_place) is None


def test_bf16_stands_behind_its_check() -> None:
    from metatl.lab.experiment import Experiment
    from metatl.lab.run import precision
    from metatl.types import MetatlError

    data, learner = toy_data(), LEARNERS["maml"]
    assert isinstance(learner, Episodic)
    net = net_for(learner, data)
    state, drawn = learner.init(net, net.start()), learner.draw(data, SEED, 0)
    source: Any = None
    experiment = Experiment("x", source, MLP, learner, precision="bf16")
    smooth = Net.of(nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3)))
    low = precision.passes(experiment, smooth, learner.init(smooth, smooth.start()), drawn)
    assert low.passes is torch.bfloat16
    out = low(low.start().params, low.start().buffers, torch.randn(6, 4))
    assert out.dtype is torch.float32
    assert torch.equal(out, out.bfloat16().float()), "the last product was not in bfloat16"
    assert precision.passes(replace(experiment, precision="tf32"), net, state, drawn) is net
    with pytest.raises(MetatlError, match="use tf32"):
        precision.passes(replace(experiment, learner=Supervised()), net, state, drawn)
    rough = replace(experiment, learner=replace(learner, adaptation=Descent(SGD(300.0), 5)))
    with pytest.raises(MetatlError, match="cosine of"):
        precision.passes(rough, net, state, drawn)
