"""What must hold inside every process of a job; run by `one_process`, where an exception fails the test."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metatl import processes, tree
from metatl.adapt import Descent
from metatl.data import Tasks
from metatl.engines import Batched, Engine, Loop
from metatl.engines.split import Split
from metatl.guides import PerStep
from metatl.heads import Prototypes, Zeros
from metatl.learners import Episodic, Learner, Reptile, Scout, SourceFisher, State, Supervised
from metatl.rules import SGD, Adam, CarriedAdam
from metatl.train import train
from metatl.types import Batch, Episode, Metrics
from tests.outer import Outer, outer_gradient
from tests.toys import assert_bitwise, assert_close, scales, toy_data, toy_net, toy_tasks, with_guide

TASKS = Tasks(3, 2, 3)
ENGINES: tuple[Engine, ...] = (Batched(2), Loop())
COUNTS = (1, 5)
INNER = Descent(SGD(0.1, 0.9), 2)
LEARNERS: dict[str, Learner] = {
    "supervised": Supervised(3, 16, Adam(0.01)),
    "maml": Episodic(4, 5, TASKS, INNER, Adam(0.01), clip=0.1),
    "recorded": Episodic(4, 3, TASKS, Descent(SGD(0.1), 1), SGD(0.01)),
    "maml++": Episodic(3, 2, TASKS, INNER, guide=PerStep(2), learn="init_and_guide", multi_step=2),
    "protonet": Episodic(3, 1, TASKS, Descent(steps=0, head=Prototypes()), SGD(0.1)),
    "reptile": Reptile(3, 5, Tasks(3, 4, 0), Descent(CarriedAdam(0.01), 3, moments="batch")),
    "scout": Scout(2, 5, Tasks(3, 4, 0), Descent(SGD(0.1, 0.9), 3, Zeros(), batch_size=6)),
    "source fisher": SourceFisher(2, 8, way=2),
}


class Double:
    """The toy data in float64."""

    def __init__(self) -> None:
        self._data = toy_data()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._data, name)

    def batch(self, *given: Any) -> Batch:
        drawn = self._data.batch(*given)
        return drawn._replace(x=drawn.x.double())

    def draw(self, *given: Any) -> Episode:
        support, query, *_ = self._data.draw(*given)
        return Episode(Batch(support.x.double(), support.y), Batch(query.x.double(), query.y))


def assert_same_bits(*values: Any) -> None:
    """Every process has the same bits."""
    for leaf in tree.leaves(values):
        flat = leaf.detach().reshape(1, -1).contiguous().view(torch.uint8)
        found = processes.gathered(flat, [1] * processes.world())
        assert bool((found == flat).all())


def gradients() -> None:
    """The outer gradient and the metrics of split tasks are those of one process."""
    with processes.job():
        for engine in ENGINES:
            for count in COUNTS:
                torch.manual_seed(count)
                net, episodes = toy_net(norm=True), toy_tasks(count)
                start = net.start()
                start = with_guide(start, scales(start.params))
                early = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
                for outer in (Outer("full", True, early), Outer("first_order")):
                    ours, said = outer_gradient(Split(engine), net, start, INNER, episodes, outer)
                    theirs, expected = outer_gradient(engine, net, start, INNER, episodes, outer)
                    assert_close(ours.params, theirs.params)
                    assert_close(ours.guide, theirs.guide)
                    assert_close(said, expected)
                    assert bool(ours.guide) == outer.learn_guide
                    assert_same_bits(ours.params, ours.guide, said)


def maps() -> None:
    """What is mapped over split tasks comes back whole, of every type and shape, bit by bit in a loop."""

    def fn(episode: Episode) -> tuple[Tensor, dict[str, Any]]:
        x = episode.support.x
        low = {"half": x[0].bfloat16(), "large": (x > 0), "none": x[:0]}
        return x.sum().float(), {"low": low, "y": episode.support.y, "x": (x.square() @ x.mT,)}

    with processes.job():
        for count in COUNTS:
            torch.manual_seed(count)
            episodes = toy_tasks(count)
            ours, theirs = Split(Loop()).map(fn, episodes), Loop().map(fn, episodes)
            for one, other in zip(tree.leaves(ours), tree.leaves(theirs), strict=True):
                assert (one.dtype, one.shape) == (other.dtype, other.shape)
                assert torch.equal(one, other)
            assert list(ours[1]) == list(theirs[1])
            mapped = Split(Batched(3)).map(lambda e: e.query.x.exp().sum(0), episodes)
            torch.testing.assert_close(mapped, episodes.query.x.exp().sum(1))
            assert_same_bits(ours, mapped)


def learners() -> None:
    """Every learner's curve is the one of a process alone, and all processes carry the same bits."""
    with processes.job():
        for name, learner in LEARNERS.items():
            if name == "recorded" and processes.world() > 2:
                continue  # a recording takes a second
            engine = Batched(record=name == "recorded")
            runs = [_run(learner, engine) for engine in (Split(engine), engine)]
            (ours, said), (theirs, expected) = runs
            assert ours.step == theirs.step == learner.steps
            for mine, other in zip(_tensors(ours), _tensors(theirs), strict=True):
                assert_close(mine, other, 1e-7)
            for mine, other in zip(said, expected, strict=True):
                assert_close(mine, other, 1e-7)
            assert_same_bits(_tensors(ours), said)


def scouts() -> None:
    """Scouts split over processes that share a folder give the directions of one process, as projectors."""
    with processes.job():
        home = Path(processes.same(str(Path.cwd() / "displacements")))
        inner = Descent(SGD(0.1, 0.9), 3, Zeros(), batch_size=6)
        learner = Scout(2, 5, Tasks(3, 4, 0), inner, directions=9, displacements=str(home / "all"))
        alone = replace(learner, displacements=str(home / f"own-{processes.rank()}"))
        data: Any = Double()
        torch.manual_seed(1)
        net = toy_net(norm=True, outputs=learner.outputs(data))
        begun, found = learner.init(net, net.start()), list[dict[str, Tensor]]()
        for one, engine in ((learner, Split(Loop())), (alone, Loop()), (learner, Split(Loop()))):
            state = train(one, net, engine, begun, data, 5)
            found.append(one.finish(net, state).memory)
        assert_same_bits(found[0])
        assert_bitwise(found[2], found[0])  # what lies there is taken as it is
        ours, theirs = (_projected(memory) for memory in found[:2])
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)
        assert_close(*({n: p for n, p in one.items() if "directions" not in n} for one in found[:2]), 1e-9)


def _projected(memory: dict[str, Tensor]) -> Tensor:
    """The projector on the directions [numbers, numbers]."""
    rows = torch.cat([p.flatten(1) for n, p in memory.items() if n.startswith("directions.")], 1)
    basis = torch.linalg.svd(rows, full_matrices=False)[2]
    return basis.T @ basis


def _run(learner: Learner, engine: Engine) -> tuple[State, list[Metrics]]:
    torch.manual_seed(1)
    data: Any = Double()
    net = toy_net(norm=True, outputs=learner.outputs(data))
    seen: list[Metrics] = []
    begun = learner.init(net, net.start())
    return train(learner, net, engine, begun, data, 5, [lambda _, metrics: seen.append(metrics)]), seen


def _tensors(state: State) -> list[dict[str, Tensor]]:
    carried = state.transfer
    return [*carried.groups(), *state.memory.values()]


def cards() -> None:
    """The same on one card or several: by NCCL where every process has its own, else by the processor."""
    with processes.job():
        processes.take_card("cuda")
        rank, world = processes.rank(), processes.world()
        net, episodes = toy_net(norm=True), toy_tasks(5)
        net.module.to("cuda")
        episodes = Episode(*(Batch(part.x.cuda(), part.y.cuda()) for part in episodes))
        ours, said = outer_gradient(Split(Batched()), net, net.start(), INNER, episodes, Outer())
        theirs, expected = outer_gradient(Batched(), net, net.start(), INNER, episodes, Outer())
        assert_close(ours.params, theirs.params, 1e-10)
        assert_close(said, expected, 1e-10)
        mapped = Split(Loop()).map(lambda e: e.query.x.sum(0), episodes)
        assert mapped.is_cuda
        assert torch.equal(mapped, Loop().map(lambda e: e.query.x.sum(0), episodes))
        assert float(processes.summed(torch.tensor(rank + 1.0, device="cuda"))) == world * (world + 1) / 2
        assert torch.cuda.current_device() == rank % torch.cuda.device_count()


def values() -> None:
    """Process 0's values reach every process as they are."""
    value = {
        "": (None, True, 3, float("inf"), 0.1 + 0.2, "é\n", [1, [2, ()]]),
        "x": {"a": torch.arange(6).view(2, 3).mT, "b": torch.empty(0, 4), "c": torch.tensor(1.5).bfloat16()},
    }
    with processes.job():
        rank, world = processes.rank(), processes.world()
        found = processes.same(value if rank == 0 else {"other": rank})
        assert found[""] == value[""]
        assert_bitwise(found["x"], value["x"])
        assert [leaf.dtype for leaf in found["x"].values()] == [leaf.dtype for leaf in value["x"].values()]
        assert processes.same(None if rank == 0 else 1) is None
        assert float(processes.summed(torch.tensor(float(rank + 1)))) == world * (world + 1) / 2
        with processes.one_first():
            pass
    assert (processes.rank(), processes.world(), processes.writer()) == (0, 1, True)
