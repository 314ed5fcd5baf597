"""Directions of a path and of the Fisher information: exact, resumed, in the place of scouts' directions."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from metatl.engines import Loop
from metatl.guides.fisher import fisher
from metatl.learners import FisherDirections, Learner, PathDirections, Supervised
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.rules import SGD, Adam
from metatl.testing import check_learner
from metatl.train import train
from metatl.transforms import LoRA, Subspace
from metatl.types import MetatlError, Params, Transfer
from tests.toys import assert_bitwise, toy_data, toy_net

PLAIN = Supervised(6, 5, Adam(0.02))
PATH, FISHER = PathDirections(PLAIN, 2, 4), FisherDirections(3, 5, 4)


def made(norm: bool = True) -> Net:
    torch.manual_seed(3)
    return toy_net(norm=norm, outputs=8, dtype=torch.float32)


def learned(learner: Learner, net: Net, start: Transfer) -> Transfer:
    return learner.finish(net, train(learner, net, Loop(), learner.init(net, start), toy_data(), 4))


def body(net: Net, params: Params) -> Params:
    return {n: p for n, p in params.items() if not net.is_head(n)}


def flat(params: Params) -> Tensor:
    return torch.cat([p.double().flatten() for p in params.values()])


def held(net: Net, carried: Transfer, role: str = "directions") -> Tensor:
    rows = [carried.memory[f"{role}.{n}"] for n in body(net, carried.params)]
    return torch.cat([leaf.double().reshape(4 if role == "directions" else 1, -1) for leaf in rows], 1)


@pytest.mark.parametrize("learner", [PATH, FISHER], ids=["path", "fisher"])
def test_they_keep_the_laws_of_learners_and_the_start(learner: Learner) -> None:
    net = made()
    check_learner(learner, net, net.start(), toy_data())
    start, carried = net.start(), learned(learner, net, net.start())
    assert_bitwise(carried.params, start.params)
    assert_bitwise(carried.buffers, start.buffers)
    assert_bitwise(carried.guide, start.guide)
    net, moved = Subspace(4)(net, carried)
    assert net(moved.params, moved.buffers, torch.zeros(2, 4)).shape == (2, 8)


def test_those_of_a_path_are_those_of_its_snapshots() -> None:
    net, rows = made(), list[Tensor]()
    start = net.start()
    state = PLAIN.init(net, start)
    for step in range(6):
        torch.manual_seed((4 * 1_000_003 + step) % 2**63)  # as `train` does
        state = PLAIN.step(net, Loop(), state, PLAIN.draw(toy_data(), 4, step))[0]
        if step % 2:
            rows.append(flat(body(net, state.transfer.params)) - flat(body(net, start.params)))
    moves = torch.stack(rows)
    assert len(moves) == 3
    carried = learned(PATH, net, start)
    torch.testing.assert_close(held(net, carried, "mean")[0], moves.mean(0), atol=1e-6, rtol=1e-5)
    off, along = moves - moves.mean(0), held(net, carried)
    torch.testing.assert_close(along.T @ along, off.T @ off / 3, atol=1e-7, rtol=1e-4)
    assert int((along.norm(dim=1) > 1e-6).sum()) == 2  # three snapshots span two directions


@pytest.mark.parametrize("norm", [False, True])
def test_those_of_the_fisher_information_are_its_eigenvectors(norm: bool) -> None:
    net, data = made(norm), toy_data()
    start, found = net.start(), list[Tensor]()
    diagonal = list[Tensor]()
    for step in range(3):
        rows = FISHER.draw(data, 4, step)
        with moments_from(Rows(frozen=True)):
            told = fisher(lambda p, rows=rows: net(p, start.buffers, rows.x), start.params, rows.y)
            diagonal.append(flat(body(net, told)))
            for x, y in zip(rows.x, rows.y, strict=True):  # one by one, by torch's own backward pass
                leaves = {n: p.clone().requires_grad_() for n, p in start.params.items()}
                loss = -torch.nn.functional.cross_entropy(net(leaves, start.buffers, x[None]), y[None])
                names = list(body(net, leaves))
                grads = torch.autograd.grad(loss, [leaves[n] for n in names])
                found.append(flat(dict(zip(names, grads, strict=True))))
    gradients = torch.stack(found)
    information = gradients.T @ gradients / len(gradients)
    values, vectors = torch.linalg.eigh(information)
    best = vectors[:, -4:] * values[-4:] @ vectors[:, -4:].T
    carried = learned(FISHER, net, start)
    along = held(net, carried)
    torch.testing.assert_close(along.T @ along, best, atol=1e-6, rtol=1e-4)
    variance = held(net, carried, "variance")[0]
    torch.testing.assert_close(variance, information.diagonal(), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(variance, torch.stack(diagonal).mean(0), atol=1e-6, rtol=1e-4)
    assert not bool(held(net, carried, "mean").any())


@pytest.mark.parametrize("learner", [PATH, FISHER], ids=["path", "fisher"])
def test_in_place_of_others_they_differ_in_where_they_point_alone(learner: Learner) -> None:
    net = made()
    start = net.start()
    memory = Params()
    for name, leaf in body(net, start.params).items():
        memory[f"directions.{name}"] = torch.randn(4, *leaf.shape)
        memory |= {f"mean.{name}": torch.randn_like(leaf), f"variance.{name}": torch.rand_like(leaf)}
    before = replace(start, memory={**memory, "importance.head.bias": torch.ones(8)})
    alone, carried = learned(learner, net, start), learned(learner, net, before)
    for key, leaf in before.memory.items():
        if not key.startswith("directions."):
            assert torch.equal(carried.memory[key], leaf)
    own, turned = held(net, alone), held(net, carried)
    lengths = held(net, before).norm(dim=1)
    there = own.norm(dim=1) > 1e-6
    torch.testing.assert_close(turned.norm(dim=1)[there], lengths[there])
    cosines = (own * turned).sum(1) / own.norm(dim=1) / turned.norm(dim=1)
    torch.testing.assert_close(cosines[there], torch.ones(int(there.sum())).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("learner", [PATH, FISHER], ids=["path", "fisher"])
def test_of_a_net_with_additions_they_are_the_additions_alone(learner: Learner) -> None:
    """As scouts' displacements are, in whose place they stand."""
    net = made()
    there, start = LoRA(2)(net, net.start())
    torch.manual_seed(5)
    start = replace(
        start, params={n: p + 0.1 * torch.randn_like(p) for n, p in start.params.items()}
    )  # products of zeros have no gradient on one side
    carried = learned(learner, there, start)
    own = {n for n in start.params if n not in net.start().params}
    assert {key.partition(".")[2] for key in carried.memory} == own
    assert all(bool(carried.memory[f"variance.{n}"].any()) for n in own)
    new, moved = Subspace(4)(there, carried)
    assert {n for n in moved.buffers if n.startswith("subspace.")} == {f"subspace.{n}" for n in own}
    assert new(moved.params, moved.buffers, torch.zeros(2, 4)).shape == (2, 8)


def test_what_cannot_be_is_one_line() -> None:
    for wrong in ({"every": 0}, {"directions": 0}, {"every": 4}):
        with pytest.raises(MetatlError, match="PathDirections"):
            PathDirections(PLAIN, **wrong)
    with pytest.raises(MetatlError, match="directions is 0"):
        FisherDirections(directions=0)
    net = toy_net(outputs=3, dtype=torch.float32)
    for learner in (PATH, FISHER):
        with pytest.raises(MetatlError, match="output layer has 3 rows"):
            learner.check(net, net.start(), toy_data())
    assert PathDirections(replace(PLAIN, rule=SGD(0.1)), 3).steps == 6
