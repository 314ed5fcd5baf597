"""A trunk that branches: hard sharing until it splits, no output changes by it, and who parts from whom."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from metatl.aggregates import Mean
from metatl.data import LabelledRows
from metatl.data.many_targets import ManyTargets
from metatl.engines import Loop
from metatl.learners import State, Supervised
from metatl.models import BranchingTrunk, SharedTrunk
from metatl.multitasking.branching import Branching, grouped, split
from metatl.net import Net
from metatl.objectives import OfTarget
from metatl.rules import Adam
from metatl.train import train
from metatl.types import Batch
from tests.toys import assert_bitwise

NAMES = {"up": 1, "same": 1, "down": 1}


def data() -> ManyTargets:
    x = torch.randn(96, 4, generator=torch.Generator().manual_seed(0))
    up = x[:, :1].abs() + x[:, 1:2]
    return ManyTargets("toy", {"meta_train": Batch(x, {"up": up, "same": up, "down": -up})})


def net_of(kind: Any) -> Net:
    torch.manual_seed(3)
    return Net.of(kind((4,), 1, NAMES, hidden=(6, 5)))


def begun(net: Net) -> Any:
    """Heads that start alike, so that a target's sign decides its gradients' direction."""
    start = net.start()
    for part in ("weight", "bias"):
        for i in "12":
            start.params[f"heads.{i}.{part}"].copy_(start.params[f"heads.0.{part}"])
    return start


def learned(net: Net, start: Any, steps: int = 40, kind: Any = Branching, **given: Any) -> State:
    terms = tuple(map(OfTarget, NAMES))
    streams: dict[str, Any] = {"source": LabelledRows("meta_train", 32)}
    learner = kind(steps, 32, Adam(3e-3), terms, streams=streams, aggregate=Mean(), **given)
    return train(learner, net, Loop(), learner.init(net, start), data(), 0)


def test_until_it_splits_it_is_hard_sharing() -> None:
    net, other = net_of(BranchingTrunk), net_of(SharedTrunk)
    start = begun(net)
    renamed = {n: start.params[n.replace("trunk.", "nets.0.")].clone() for n in other.start().params}
    found = learned(net, start, threshold=-1.5)
    assert not found.transfer.buffers["route"].any()
    shared = learned(other, replace(other.start(), params=renamed), kind=Supervised)
    mine = {n: found.transfer.params[n.replace("trunk.", "nets.0.")] for n in renamed}
    assert_bitwise(mine, shared.transfer.params)


def test_opposed_targets_part_and_equal_ones_do_not() -> None:
    net = net_of(BranchingTrunk)
    route = learned(net, begun(net)).transfer.buffers["route"].tolist()
    assert route[0] == route[1], "two targets that are one stay together"
    assert route[0][1] != route[2][1], "what is learned upside down does not"
    everything = learned(net, begun(net), threshold=1.5).transfer.buffers["route"].tolist()
    assert everything == [[0, 0], [1, 1], [2, 2]]


def test_a_split_changes_no_output_and_copies_memory() -> None:
    net = net_of(BranchingTrunk)
    state, x = learned(net, net.start(), 6, threshold=-1.5), data().parts["meta_train"].x
    parted = split(state, 1, np.array([[1, 1, -1], [1, 1, -1], [-1, -1, 1.0]]), 0.0)
    assert parted.transfer.buffers["route"].tolist() == [[0, 0], [0, 0], [0, 2]]
    before, after = (net(s.transfer.params, s.transfer.buffers, x) for s in (state, parted))
    assert_bitwise(before, after)
    moments = [role for role, held in state.memory.items() if "nets.0.1.1.weight" in held]
    assert moments
    for role in moments:
        held = parted.memory[role]
        assert torch.equal(held["nets.2.1.1.weight"], held["nets.0.1.1.weight"])
        assert torch.equal(held["nets.1.1.1.weight"], state.memory[role]["nets.1.1.1.weight"])
    again = split(parted, 0, -np.ones((3, 3)), 0.0)
    assert again.transfer.buffers["route"].tolist() == [[0, 0], [0, 0], [2, 2]], "units above stay together"


def test_groups_by_hand() -> None:
    affinity = np.array([[1, 0.9, -0.2, 0.1], [0.9, 1, -0.3, 0.0], [-0.2, -0.3, 1, 0.4], [0.1, 0, 0.4, 1]])
    alone = [[i] for i in range(4)]
    assert grouped(alone, affinity, 0.0) == [[0, 1], [2, 3]]
    assert grouped(alone, affinity, 0.5) == [[0, 1], [2], [3]]
    assert grouped(alone, affinity, -1.0) == [[0, 1, 2, 3]]
    assert grouped([[0, 3], [1], [2]], affinity, 0.3) == [[0, 1, 3], [2]], "0.45 is the mean of 0.9 and 0.0"


def test_affinity_is_over_the_steps_that_had_both_targets() -> None:
    """Two targets that agree wholly, one of them on every third row: the rows that lack it pull nothing."""
    net, whole = net_of(BranchingTrunk), data().parts["meta_train"]
    rare = whole.y["same"].clone()
    rare[torch.arange(len(rare)) % 3 > 0] = torch.nan
    y = {"up": whole.y["up"], "same": rare, "down": whole.y["down"]}
    streams: dict[str, Any] = {"source": LabelledRows("meta_train", 1)}
    learner = Branching(
        40, 1, Adam(1e-5), tuple(map(OfTarget, NAMES)), streams=streams, aggregate=Mean(), threshold=0.9
    )
    state = learner.init(net, begun(net))
    rows = ManyTargets("toy", {"meta_train": Batch(whole.x, y)})
    route = train(learner, net, Loop(), state, rows, 0).transfer.buffers["route"]
    assert route[0, -1] == route[1, -1]
    assert route[2, -1] != route[0, -1]
