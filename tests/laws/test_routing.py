"""Paths through modules: one is hard sharing, what is off does not move, losers are winners' children."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from metatl.aggregates import Mean
from metatl.data import LabelledRows
from metatl.data.many_targets import ManyTargets
from metatl.engines import Loop
from metatl.learners import State, Supervised
from metatl.models import ModuleGrid, SharedTrunk
from metatl.multitasking.in_turn import TargetsInTurn
from metatl.multitasking.routing import Routed, mutated, on_of
from metatl.net import Net
from metatl.objectives import OfTarget
from metatl.rules import Adam
from metatl.train import train
from metatl.types import Batch, MetatlError
from tests.toys import assert_bitwise

NAMES = {"a": 1, "b": 1}


def data() -> ManyTargets:
    x = torch.randn(64, 4, generator=torch.Generator().manual_seed(0))
    return ManyTargets("toy", {"meta_train": Batch(x, {"a": x[:, :1], "b": x[:, 1:2].abs()})})


def net_of(kind: Any = ModuleGrid, **given: Any) -> Net:
    torch.manual_seed(3)
    return Net.of(kind((4,), 1, NAMES, hidden=(6, 5), **given))


def of(kind: Any = Routed, steps: int = 40, **given: Any) -> Any:
    streams: dict[str, Any] = {"source": LabelledRows("meta_train", 16)}
    terms = tuple(map(OfTarget, NAMES))
    return kind(steps, 16, Adam(1e-2), terms, "constant", streams=streams, aggregate=Mean(), **given)


def learned(net: Net, learner: Any, state: State | None = None) -> State:
    return train(learner, net, Loop(), state or learner.init(net, net.start()), data(), 0)


def test_one_module_is_hard_sharing() -> None:
    grid, shared = net_of(modules=1), net_of(SharedTrunk)
    start = grid.start()
    renamed = {n: start.params[n.replace("trunk.", "nets.0.")].clone() for n in shared.start().params}
    learner = of(Supervised)
    begun = learner.init(shared, replace(shared.start(), params=renamed))
    wanted = learned(shared, learner, begun).transfer.params
    for one in (of(), of(Supervised)):
        found = learned(grid, one).transfer.params
        assert_bitwise({n: found[n.replace("trunk.", "nets.0.")] for n in wanted}, wanted)


def test_a_random_path_stays_and_what_is_not_on_does_not_move() -> None:
    net = net_of(modules=4)
    learner = of(share=0.0, active=1)
    start = net.start()
    found = learned(net, learner)
    on = found.transfer.buffers["on"]
    assert on.sum(2).tolist() == [[1, 1], [1, 1]]
    first = learned(net, replace(learner, steps=1)).transfer.buffers["on"]
    assert torch.equal(on, first)
    for m in range(4):
        for depth in range(2):
            name = f"nets.{m}.{depth}.1.weight"
            same = torch.equal(found.transfer.params[name], start.params[name])
            assert same != bool(on[:, depth, m].any()), name


@pytest.mark.parametrize("population", [2, 5])
def test_losers_become_children_of_winners(population: int) -> None:
    net = net_of(modules=9)
    learner = of(population=population, share=1.0, every=2, steps=4, active=3)
    begun = learner._begun(net.start().buffers["on"], [0, 1])["population"]
    held = learned(net, learner).memory["paths"]
    for target in range(2):
        now, before = held["population"][target], begun[target]
        changed = [i for i in range(population) if not torch.equal(now[i], before[i])]
        assert len(changed) <= 1, "a contest changes one path, of two"
        winner = held["population"][target, int(held["best"][target])]
        assert torch.equal(winner, begun[target, int(held["best"][target])]), "the winner stays"
        for i in changed:
            away = (held["population"][target, i] - winner) % 9
            assert set(away.flatten().tolist()) <= {0, 1, 2, 7, 8}


def test_the_better_path_wins() -> None:
    """A path through modules as they are drawn, and one through weights of 100; nothing moves."""
    net = net_of(modules=2)
    start = net.start()
    for name, leaf in start.params.items():
        if name.startswith("nets.1."):
            leaf.fill_(100.0)
    learner = of(active=1, every=1, share=1.0, steps=2)
    begun = learner._begun(start.buffers["on"], [0, 1])
    begun["population"][:, 0], begun["population"][:, 1] = 0, 1
    state = learner.init(net, start)
    state = replace(state, memory=state.memory | {"paths": begun})
    held = learned(net, replace(learner, rule=Adam(0.0)), state).memory["paths"]
    assert held["best"].tolist() == [0, 0]


def test_mutation_by_hand() -> None:
    rng, path = np.random.default_rng(0), torch.zeros(3, 2, dtype=torch.int64)
    drawn = torch.stack([mutated(path, 7, rng) for _ in range(4000)])
    moved = (drawn != 0).double().mean()
    assert float(moved) == pytest.approx(4 / 5 / 6, rel=0.1), "a sixth of the genes, a fifth of these by 0"
    assert {*drawn.unique().tolist()} == {0, 1, 2, 5, 6}
    assert on_of(torch.tensor([[[0, 2], [1, 1]]]), 3).tolist() == [
        [[True, False, True], [False, True, False]]
    ]


def test_resumes_to_the_bit() -> None:
    net, learner = net_of(modules=4), of(population=3, every=2)
    whole = learned(net, learner)
    assert_bitwise(learned(net, learner, half_of(net, learner)).transfer.params, whole.transfer.params)


def half_of(net: Net, learner: Any) -> State:
    """After 15 steps of the whole run."""
    state = learner.init(net, net.start())
    for step in range(15):
        state, _ = learner.step(net, Loop(), state, learner.draw(data(), 0, step))
    return state


def test_numbers_that_mean_nothing() -> None:
    for given in ({"active": 0}, {"population": 1}, {"every": 0}, {"share": 1.5}):
        with pytest.raises(MetatlError, match="Routed: active is"):
            of(**given)
    with pytest.raises(MetatlError, match="modules is 0"):
        net_of(modules=0)


def test_a_single_target_in_its_turn_is_the_learner_alone() -> None:
    net = net_of()
    learner = of()
    alone = replace(learner, terms=learner.terms[:1])
    assert_bitwise(learned(net, TargetsInTurn(alone)).transfer.params, learned(net, alone).transfer.params)


@pytest.mark.parametrize("share", [0.0, 0.6])
def test_a_path_stays_behind_its_turn_and_what_lies_on_none_begins_anew(share: float) -> None:
    net, learner = net_of(modules=4), TargetsInTurn(of(steps=41, share=share, active=1), freeze=True)
    first = learned(net, learner)
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(5))
    half = learner.init(net, net.start())
    for step in range(20):  # the first target's turn
        half, _ = learner.step(net, Loop(), half, learner.draw(data(), 0, step))
    middle, end = half.transfer, first.transfer
    before, after = (net(t.params, t.buffers, x)["a"] for t in (middle, end))
    assert torch.equal(before, after)
    assert torch.equal(middle.buffers["on"][0], end.buffers["on"][0])
    start, on = net.start().params, end.buffers["on"]
    assert (on[1] & ~on[0]).any(), "a module that the second path alone takes"
    for name, leaf in end.params.items():
        if name.startswith("nets."):
            _, module, block, *_ = name.split(".")
            taken = on[:, int(block), int(module)]
            if not taken.any() and share == 0:
                assert torch.equal(leaf, start[name])
            if taken[1] and not taken[0]:
                assert not torch.equal(leaf, start[name])
    assert not torch.equal(net(start, end.buffers, x)["b"], net(end.params, end.buffers, x)["b"])


def test_in_turn_a_trunk_moves_in_every_turn_and_a_head_in_its_own() -> None:
    net, learner = net_of(SharedTrunk), TargetsInTurn(of(Supervised, steps=40))
    state = learner.init(net, net.start())
    seen = [state.transfer.params]
    for step in range(40):
        state, _ = learner.step(net, Loop(), state, learner.draw(data(), 0, step))
        if step in (19, 39):
            seen.append(state.transfer.params)
    moved = [{n for n in b if not torch.equal(a[n], b[n])} for a, b in pairwise(seen)]
    trunk = {name for name in seen[0] if name.startswith("trunk.")}
    assert moved == [trunk | {"heads.0.weight", "heads.0.bias"}, trunk | {"heads.1.weight", "heads.1.bias"}]


def test_in_turn_refuses_paths_that_are_none_and_targets_without_a_step() -> None:
    net = net_of(SharedTrunk)
    with pytest.raises(MetatlError, match="this net has none"):
        TargetsInTurn(of(Supervised), freeze=True).init(net, net.start())
    with pytest.raises(MetatlError, match="1 steps for 2 targets"):
        TargetsInTurn(of(Supervised, steps=1)).init(net, net.start())
