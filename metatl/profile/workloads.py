"""What is profiled: four workloads of random data in memory, or the meta-training of a config."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from metatl import tree
from metatl.adapt import Descent
from metatl.arithmetic import products
from metatl.capture import Captured
from metatl.data.source import Tasks
from metatl.engines import Engine
from metatl.engines.chunk_size import Fitting
from metatl.engines.engine import task, tasks_of
from metatl.lab import config, grids
from metatl.lab.run import prepare
from metatl.learners import Episodic, State
from metatl.models import MLP, Conv4
from metatl.net import Net
from metatl.rules import SGD
from metatl.types import Batch, Episode, MetatlError, Metrics, Transfer


@dataclass(frozen=True)
class Workload:
    """A workload: its tasks, its net, its meta-batch, and the (steps, queries) that are timed."""

    about: str
    example: tuple[int, ...]
    way: int
    shot: int
    meta_batch: int
    model: Callable[[], nn.Module]
    variants: tuple[tuple[int, int], ...]


_OMNIGLOT, _MINIIMAGENET = (1, 28, 28), (3, 84, 84)
SHAPES = {
    "W1": Workload(
        "Omniglot-shaped, 5-way 1-shot, Conv4 of 64 filters with stride 2, 32 tasks",
        _OMNIGLOT, 5, 1, 32, lambda: Conv4(_OMNIGLOT, 5, 64, "stride"), ((1, 1), (1, 15), (5, 1)),
    ),
    "W2": Workload(
        "Omniglot-shaped, 20-way 5-shot, the same Conv4, 16 tasks",
        _OMNIGLOT, 20, 5, 16, lambda: Conv4(_OMNIGLOT, 20, 64, "stride"), ((1, 5), (5, 5)),
    ),
    "W3": Workload(
        "sinusoid, 10-shot, MLP 1-40-40-1, 25 tasks",
        (1,), 1, 10, 25, lambda: MLP((1,), 1, (40, 40)), ((1, 10), (5, 10)),
    ),
    "W4": Workload(
        "miniImageNet-shaped, 5-way 1-shot, Conv4 of 32 filters with max-pooling, 4 tasks",
        _MINIIMAGENET, 5, 1, 4, lambda: Conv4(_MINIIMAGENET, 5, 32, "pool"), ((5, 1),),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """One row's worth of work. workload: a key of SHAPES, or a config's path with its overrides."""

    workload: str
    steps: int
    queries: int
    overrides: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """How it is named in print."""
        steps = "1 step" if self.steps == 1 else f"{self.steps} steps"
        return f"{self.workload}, {steps}, {self.queries} quer{'y' if self.queries == 1 else 'ies'}"


@dataclass(frozen=True)
class Setting:
    """A variant made ready to run: one learner step over one meta-batch, whatever the engine."""

    net: Net
    learner: Episodic
    state: State
    episodes: Episode

    def step(self, engine: Engine) -> Metrics:
        """One whole meta-iteration, outer gradient and the outer rule's update; what it learns is dropped."""
        return self.learner.step(self.net, engine, self.state, self.episodes)[1]

    def captured(self, engine: Engine) -> Callable[[], Metrics]:
        """`step` as one CUDA graph; MetatlError where it cannot be captured."""

        def step(state: State) -> tuple[State, Metrics]:
            return self.learner.step(self.net, engine, state, self.episodes)

        try:
            graph = Captured(step, self.state)
        except RuntimeError as error:
            why = str(error).strip().splitlines()[0]
            raise MetatlError(f"the step cannot be captured: {why}; leave `captured` out") from error
        return lambda: graph(self.state)[1]

    def at_once(self) -> int:
        """Tasks that the batched engine runs at once when nobody says how many."""
        loss = self.learner.loss(self.net, self.state)
        return Fitting()(loss, loss.variables, self.episodes)

    def first(self, tasks: int) -> Setting:
        """The same with the first tasks alone."""
        return replace(self, episodes=task(self.episodes, slice(0, tasks)))

    def in_double(self) -> Setting:
        """The same in float64."""

        def double(leaf: Tensor) -> Tensor:
            return leaf.double() if leaf.is_floating_point() else leaf

        carried = self.state.transfer
        transfer = Transfer(*(tree.map(double, part) for part in carried.groups()))
        memory = {role: tree.map(double, leaves) for role, leaves in self.state.memory.items()}
        episodes: Episode = tree.apply(double, self.episodes)
        net = replace(self.net, module=copy.deepcopy(self.net.module).double())
        return replace(self, net=net, episodes=episodes, state=State(transfer, self.state.step, memory))

    def operations(self) -> float:
        """Operations of the products in one task's outer gradient; the limit counts no others."""
        one, adaptation = task(self.episodes, 0), self.learner.adaptation
        support, query = (products(self.net, self.state.transfer, x) for x in (one.support.x, one.query.x))
        rows = one.support.x.shape[0]
        share = min(adaptation.batch_size or rows, rows) / rows
        steps = adaptation.steps * share * support.inner_step(self.learner.unroll)
        beside = support.gradient() if adaptation.moments == "support" and self.net.batch_moments else 0
        return 2.0 * (steps + query.gradient() + beside)

    @property
    def tasks(self) -> int:
        """Tasks in the meta-batch."""
        return tasks_of(self.episodes)


def variants_of(name: str, overrides: Sequence[str] = ()) -> list[Variant]:
    """The variants of a workload, or the one of a config; raises MetatlError for what is neither."""
    if name in SHAPES:
        return [Variant(name, steps, queries) for steps, queries in SHAPES[name].variants]
    if not grids.is_config(Path(name)):
        raise MetatlError(
            f"unknown workload '{name}'; choose of {', '.join(SHAPES)}, evaluation, scouts, sampling, "
            "transfer, or a config (a .yaml file)"
        )
    learner = config.load(Path(name), overrides).learner
    if not isinstance(learner, Episodic):
        raise MetatlError(
            f"{name} learns with {type(learner).__name__}; profile times outer gradients (Episodic)"
        )
    return [Variant(name, learner.adaptation.steps, learner.tasks.query, tuple(overrides))]


def built(variant: Variant, device: str) -> Setting:
    """The setting of a variant on a device, in float32."""
    torch.manual_seed(0)
    if variant.workload not in SHAPES:
        return _from_config(variant, device)
    shape = SHAPES[variant.workload]
    tasks = Tasks(max(shape.way, 2), shape.shot, variant.queries)
    adaptation = Descent(SGD(0.1), variant.steps, moments="batch")
    learner = Episodic(meta_batch=shape.meta_batch, tasks=tasks, adaptation=adaptation)
    net = Net.of(shape.model().to(device))
    episodes = Episode(_rows(shape, shape.shot, device), _rows(shape, variant.queries, device))
    return Setting(net, learner, learner.init(net, net.start()), episodes)


def _rows(shape: Workload, each: int, device: str) -> Batch:
    size = (shape.meta_batch, shape.way * each, *shape.example)
    if shape.way == 1:
        x = torch.rand(size) * 10.0 - 5.0
        return Batch(x.to(device), x.sin().to(device))
    y = torch.arange(shape.way).repeat(shape.meta_batch, each)
    return Batch(torch.randn(size).to(device), y.to(device))


def _from_config(variant: Variant, device: str) -> Setting:
    experiment = config.load(Path(variant.workload), (*variant.overrides, "--device", device))
    run, learner = prepare(experiment), experiment.learner
    assert isinstance(learner, Episodic)
    net = run.net.with_outputs(learner.outputs(run.data))
    drawn = learner.draw(run.data, experiment.seed, 0)
    if not isinstance(drawn, Episode):
        raise MetatlError(f"{variant.workload}: tasks of one shape are timed; give way and shot as numbers")
    return Setting(net, learner, learner.init(net, run.first), drawn)
