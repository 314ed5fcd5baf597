"""Mean and principal directions of scouts' displacements: exact, resumed, shared, and their uses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import LowRankMultivariateNormal

from metatl import tree
from metatl.adapt import Descent, displacement
from metatl.data import Tasks
from metatl.data import kept_rows as on_disk
from metatl.engines import Batched, Loop
from metatl.guides import Leading
from metatl.heads import Zeros
from metatl.learners import Scout, State
from metatl.learners.directions import spread
from metatl.learners.reptile import Reptile
from metatl.net import Net
from metatl.objectives import L2SP, GaussianPrior
from metatl.objectives.term import Anchor
from metatl.rules import SGD, Adam, Preconditioned
from metatl.testing import check_transform
from metatl.transforms import LoRA, MeanStep, Subspace, outlined, transformed
from metatl.types import Batch, Episode, MetatlError, Params, Transfer
from tests.toys import assert_bitwise, assert_close, rows, toy_data, toy_net

TASKS = Tasks(3, 4, 0)
INNER = Descent(SGD(0.2), 3, Zeros())


def scout(folder: Path, **given: Any) -> Scout:
    return Scout(
        3, 4, TASKS, INNER, directions=given.pop("directions", 12), displacements=str(folder), **given
    )


def learned(learner: Scout, net: Net, start: Transfer, steps: int | None = None) -> tuple[State, Transfer]:
    state, data = learner.init(net, start), toy_data()
    for step in range(learner.steps if steps is None else steps):
        state, _ = learner.step(net, Loop(), state, learner.draw(data, 5, step))
    return state, learner.finish(net, state)


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return toy_net(dtype=torch.float32)


def flat(net: Net, transfer: Transfer, role: str) -> Tensor:
    names = [n for n in transfer.params if not net.is_head(n)]
    return torch.cat([transfer.memory[f"{role}.{n}"].flatten(-transfer.params[n].dim()) for n in names], -1)


def displaced(net: Net, start: Transfer, learner: Scout) -> Tensor:
    """All displacements [N, D], from the plain learner's own map."""
    data, found = toy_data(), list[Tensor]()
    for step in range(learner.steps):
        moves = learner._moves(net, Loop(), start, learner.draw(data, 5, step))  # pyright: ignore[reportPrivateUsage]
        found.append(torch.cat([leaf.flatten(1) for leaf in moves.values()], 1))
    return torch.cat(found)


def test_in_blocks_it_is_the_full_decomposition(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(on_disk, "_CHUNK", 40)  # few columns at once, and an odd number at the end
    torch.manual_seed(1)
    x = torch.randn(9, 31, dtype=torch.float64) @ torch.randn(31, 31, dtype=torch.float64)
    kept = on_disk.KeptRows(tmp_path)
    keys = [on_disk.key_of([str(i)]) for i in range(3)]
    for key, part in zip(keys, x.split(3), strict=True):
        kept.made(key, lambda part=part: part, kept.holds(key))
    good = torch.ones(9, dtype=torch.bool)
    good[4] = False
    found = spread(lambda: kept.columns(keys), good, 5)
    wanted = x[good] - x[good].mean(0)
    _, s, v = torch.linalg.svd(wanted, full_matrices=False)
    best = v[:5].T * s[:5].square() / 8 @ v[:5]
    torch.testing.assert_close(found.directions.T @ found.directions, best)
    torch.testing.assert_close(found.mean, x[good].mean(0))
    torch.testing.assert_close(found.variance, wanted.square().mean(0))


def test_scouts_of_rank_r_are_spanned_exactly() -> None:
    torch.manual_seed(2)
    x = torch.randn(20, 3, dtype=torch.float64) @ torch.randn(3, 40, dtype=torch.float64) + 2.0
    found = spread(lambda: iter([x]), torch.ones(20, dtype=torch.bool), 6)
    assert int((found.directions.norm(dim=1) > 1e-9).sum()) == 3
    off = x - found.mean
    z = torch.linalg.lstsq(found.directions[:3].T, off.T).solution
    torch.testing.assert_close(found.directions[:3].T @ z, off.T)


def test_k_of_all_scouts_and_least_squares_reproduce_each_of_them(net: Net, tmp_path: Path) -> None:
    start, learner = net.start(), scout(tmp_path)
    carried, moves = learned(learner, net, start)[1], displaced(net, start, learner)
    there, made = Subspace(12)(net, carried)
    body = {n: p for n, p in start.params.items() if not net.is_head(n)}
    along = flat(net, carried, "directions")
    for move in moves:
        z = torch.linalg.lstsq(
            along.T, (move - flat(net, carried, "mean"))[:, None], driver="gelsd"
        ).solution[:, 0]
        own = {**made.params, "subspace.z": z}
        weights = Subspace(12).merge(there, replace(made, params=own))[1].params
        wanted = tree.add(body, tree.unflat(move, body))
        assert_close({n: weights[n] for n in body}, wanted, 1e-4)


def test_mean_and_guide_are_those_of_reptile_and_of_plain_scouts(net: Net, tmp_path: Path) -> None:
    start, learner = net.start(), replace(scout(tmp_path), steps=1)
    carried = learned(learner, net, start)[1]
    plain = learned(replace(learner, directions=0), net, start)[1]
    assert_bitwise(carried.guide, plain.guide)
    assert not plain.memory
    reptile = Reptile(1, 4, TASKS, INNER, 1.0, "constant")
    state = reptile.step(net, Loop(), reptile.init(net, start), learner.draw(toy_data(), 5, 0))[0]
    assert_close(transformed([MeanStep()], net, carried)[1].params, state.transfer.params, 1e-6)
    # E[d] as the one direction, z = 1
    mean = {
        k.replace("mean.", "directions."): v[None] for k, v in carried.memory.items() if k.startswith("mean.")
    }
    there, made = Subspace(1, mean=False)(net, replace(carried, memory={**carried.memory, **mean}))
    one = {**made.params, "subspace.z": torch.ones(1)}
    assert_close(Subspace(1).merge(there, replace(made, params=one))[1].params, state.transfer.params, 1e-6)


def test_resumed_or_with_what_others_have_learned_it_is_the_same(
    net: Net, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start, learner = net.start(), scout(tmp_path / "one")
    whole = learned(learner, net, start)[1]
    other = scout(tmp_path / "two")
    learned(other, net, start, 2)  # a process that got as far as two groups
    asked = list[int]()
    real = Scout._moves  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(Scout, "_moves", lambda *given: (asked.append(1), real(*given))[1])
    assert_bitwise(learned(other, net, start)[1].memory, whole.memory)
    assert len(asked) == 1
    learned(replace(other, adaptation=replace(INNER, steps=2)), net, start)  # what depends on more is learned
    assert len(asked) == 4


def test_a_left_out_scout_counts_nowhere(net: Net, tmp_path: Path) -> None:
    start, learner = net.start(), scout(tmp_path, outlier=1.05)
    state, carried = learned(learner, net, start)
    left = state.memory["left_out"]["scouts"]
    assert 0 < len(left) < 12
    good = torch.ones(12, dtype=torch.bool)
    good[left] = False
    torch.testing.assert_close(flat(net, carried, "mean"), displaced(net, start, learner)[good].mean(0))


def test_shuffled_labels_keep_rows_and_classes(tmp_path: Path) -> None:
    own, mixed = (scout(tmp_path, labels=one).draw(toy_data(), 5, 1) for one in ("own", "shuffled"))
    assert isinstance(own, Episode)
    assert isinstance(mixed, Episode)
    assert torch.equal(own.support.x, mixed.support.x)
    assert not torch.equal(own.support.y, mixed.support.y)
    assert torch.equal(own.support.y.sort(1).values, mixed.support.y.sort(1).values)


def test_other_scouts_from_the_same_start(tmp_path: Path) -> None:
    drawn = [scout(tmp_path, again=again).draw(toy_data(), 5, 1) for again in (0, 0, 1, 2)]
    one, same, other, third = (part.support.x for part in drawn if isinstance(part, Episode))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert not torch.equal(other, third)


def test_scouts_of_a_net_with_additions_displace_the_additions_alone(net: Net, tmp_path: Path) -> None:
    """In LoRA's space d is that of A and B; the base is neither kept on disk nor carried nor moved along."""
    there, start = LoRA(2)(net, net.start())
    carried = learned(scout(tmp_path), there, start)[1]
    own = {n: p for n, p in start.params.items() if n not in net.start().params}
    assert {key.partition(".")[2] for key in carried.memory} == {*own}
    assert {np.load(file).shape[1] for file in tmp_path.glob("*.npy")} == {tree.count(own)}
    assert bool((carried.memory[f"mean.{next(iter(own))}"] != 0).any())
    drawn = scout(tmp_path).draw(toy_data(), 5, 0)
    whole = Loop().map(lambda task: displacement(there, INNER, start, task.support), drawn)
    moves = scout(tmp_path)._moves(there, Loop(), start, drawn)  # pyright: ignore[reportPrivateUsage]
    assert {*moves} == {*own}
    assert_close(moves, {n: whole[n] for n in own}, 1e-6)
    assert all(not bool(leaf.any()) for n, leaf in whole.items() if n not in own)
    beyond = {n for n in start.params if n not in own and not net.is_head(n)}
    for transform in (MeanStep(), Subspace(4)):
        new, made = transform(there, carried)
        out = outlined([transform], there, start)[1]
        assert {n: b.shape for n, b in out.buffers.items()} == {n: b.shape for n, b in made.buffers.items()}
        merged = transform.merge(new, made)[1] if new.through else made
        assert_bitwise({n: made.params[n] for n in beyond}, {n: start.params[n] for n in beyond})
        assert {n for n in made.buffers if n.startswith("subspace.")} <= {f"subspace.{n}" for n in own}
        assert merged.params.keys() >= net.start().params.keys()


@pytest.fixture(scope="module")
def carried(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Transfer:
    return learned(scout(tmp_path_factory.mktemp("scouts")), net, net.start())[1]


@pytest.mark.parametrize("along", ["scouts", "permuted", "random"])
def test_a_subspace_moves_k_numbers_and_keeps_the_spectrum(net: Net, carried: Transfer, along: Any) -> None:
    transform = Subspace(4, along=along)
    check_transform(transform, net, carried, rows(5, torch.float32).x, identity=False)
    check_transform(Subspace(4, along=along, mean=False), net, carried, rows(5, torch.float32).x)
    made = transform(net, carried)[1]
    assert {n for n, g in made.guide.items() if bool((g != 0).any())} == {
        "subspace.z",
        *(n for n in made.params if net.is_head(n)),
    }
    held = torch.cat(
        [made.buffers[f"subspace.{n}"].flatten(1) for n in carried.params if not net.is_head(n)], 1
    )
    wanted = flat(net, carried, "directions")[:4]
    torch.testing.assert_close(held.norm(dim=1), wanted.norm(dim=1))
    torch.testing.assert_close(held @ held.T, torch.diag(held.norm(dim=1) ** 2), atol=1e-6, rtol=1e-4)
    assert (along == "scouts") == torch.allclose(held, wanted)
    out = outlined([transform], net, net.start())[1]  # names and shapes before anything is learned
    assert {n: p.shape for n, p in out.params.items()} == {n: p.shape for n, p in made.params.items()}
    assert {n: b.shape for n, b in out.buffers.items()} == {n: b.shape for n, b in made.buffers.items()}


def test_the_leading_ones_of_more_directions_are_a_smaller_subspace(net: Net, carried: Transfer) -> None:
    """So that k is chosen on meta_val as a rate is: no number differs from a subspace of that many."""
    tasks, inner = toy_data().draw("meta_train", TASKS, 0, 0, 3), replace(INNER, rule=Adam(0.05))
    (there, made), (small, few) = (Subspace(k)(net, carried) for k in (7, 3))
    some = replace(inner, guide_from_support=Leading(3))
    for engine in (Loop(), Batched()):
        found = engine.map(lambda task: some(there, made, task.support), tasks)
        wanted = engine.map(lambda task: inner(small, few, task.support), tasks)
        assert not bool(found["subspace.z"][:, 3:].any())
        assert_close({**found, "subspace.z": found["subspace.z"][:, :3]}, wanted, 1e-6)
    for pair, k, said in (((net, carried), 2, "add the transform"), ((small, few), 4, "has 3 directions")):
        with pytest.raises(MetatlError, match=said):
            replace(inner, guide_from_support=Leading(k))(*pair, rows(6, torch.float32))
    with pytest.raises(MetatlError, match="k is 0"):
        Leading(0)


def test_engines_agree_in_a_subspace(net: Net, carried: Transfer) -> None:
    there, made = Subspace(4)(net, carried)
    tasks = toy_data().draw("meta_train", TASKS, 0, 0, 3)
    one, other = (
        engine.map(lambda task: INNER(there, made, task.support), tasks) for engine in (Loop(), Batched())
    )
    assert_close(other, one, 1e-5)
    assert bool((one["subspace.z"] != 0).any())


def test_a_subspace_of_everything_is_fine_tuning(net: Net) -> None:
    start = net.start()
    body = {n: p for n, p in start.params.items() if not net.is_head(n)}
    total = tree.count(body)
    basis = torch.linalg.qr(torch.randn(total, total))[0]
    memory = Params()
    for role, values in {
        "directions": basis,
        "mean": torch.zeros(total),
        "variance": torch.ones(total),
    }.items():
        sizes = [p.numel() for p in body.values()]
        for (n, p), part in zip(body.items(), values.split(sizes, -1), strict=True):
            memory[f"{role}.{n}"] = part.reshape(*part.shape[:-1], *p.shape)
    there, made = Subspace(total)(net, replace(start, memory=memory))
    support, inner = rows(6, torch.float32), Descent(SGD(0.2), 4, Zeros())
    moved = replace(made, params=inner(there, made, support))
    assert_close(Subspace(total).merge(there, moved)[1].params, inner(net, start, support), 1e-5)


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_directions_behind_the_explained_share_are_left_out(
    net: Net, carried: Transfer, share: float
) -> None:
    made = Subspace(12, explained=share)(net, carried)[1]
    held = torch.cat(
        [made.buffers[f"subspace.{n}"].flatten(1) for n in carried.params if not net.is_head(n)], 1
    )
    power, total = held.square().sum(1), flat(net, carried, "variance").sum()
    kept = int((power > 0).sum())
    assert 0 < kept < 11
    assert float(power[: kept - 1].sum() / total) < share <= float(power.sum() / total) + 1e-6


def penalty(term: Any, net: Net, carried: Transfer, move: Tensor) -> Tensor:
    body = {n: p for n, p in carried.params.items() if not net.is_head(n)}
    params = tree.add(body, tree.unflat(move, body))
    return term(params, torch.zeros(2), Batch(torch.zeros(2)), Anchor(body, None, memory=carried.memory))


def test_the_prior_is_the_gaussian_of_torch(net: Net, carried: Transfer) -> None:
    wide = replace(
        carried,
        params={n: p.double() for n, p in carried.params.items()},
        memory={n: p.double() for n, p in carried.memory.items()},
    )
    mean, along, variance = (flat(net, wide, role) for role in ("mean", "directions", "variance"))
    along = along[:3]
    few = {k: v[:3] if k.startswith("directions") else v for k, v in wide.memory.items()}
    wide, scale = replace(wide, memory=few), variance.mean()
    move = torch.randn(len(mean), dtype=torch.float64)
    left = (variance - along.square().sum(0)).clamp_min(0) + 0.2 * scale
    theirs = LowRankMultivariateNormal(mean, along.T, left)
    wanted = 0.7 * scale * (theirs.log_prob(mean) - theirs.log_prob(move))
    torch.testing.assert_close(
        penalty(GaussianPrior(0.7, form="low_rank", floor=0.2), net, wide, move), wanted
    )
    diagonal = 0.35 * (scale * (move - mean).square() / (variance + 0.2 * scale)).sum()
    torch.testing.assert_close(penalty(GaussianPrior(0.7, floor=0.2), net, wide, move), diagonal)
    even = {k: torch.ones_like(v) if k.startswith("variance") else v for k, v in wide.memory.items()}
    sphere = penalty(GaussianPrior(0.7, mean=False, floor=1e-12), net, replace(wide, memory=even), move)
    torch.testing.assert_close(sphere, penalty(L2SP(0.7), net, wide, move))


@pytest.mark.parametrize("form", ["low_rank", "kronecker"])
def test_the_preconditioner_is_the_dense_product(net: Net, carried: Transfer, form: Any) -> None:
    body = {n: p for n, p in carried.params.items() if not net.is_head(n)}
    rule = Preconditioned(SGD(0.5), 0.3, form)
    state, grads = rule.resume(carried.params, carried.memory), tree.map(torch.randn_like, carried.params)
    found = rule.update(grads, state, carried.params)[0]
    if form == "low_rank":
        along = flat(net, carried, "directions")
        dense = along.T @ along
        dense = 0.3 * torch.eye(len(dense)) + dense / torch.linalg.eigvalsh(dense)[-1]
        wanted = tree.unflat(-0.5 * dense @ tree.flat({n: grads[n] for n in body}), body)
    else:
        wanted = Params()
        for n, leaf in body.items():
            d = torch.cat([carried.memory[f"directions.{n}"], carried.memory[f"mean.{n}"][None]])
            left = torch.einsum("nij,nkj->ik", d, d) if leaf.dim() > 1 else torch.diag(d.square().sum(0))
            right = torch.einsum("nij,nik->jk", d, d) if leaf.dim() > 1 else torch.zeros(1, 1)
            a, b = (
                0.3 * torch.eye(len(m)) + m / torch.linalg.eigvalsh(m)[-1].clamp_min(1e-9)
                for m in (left, right)
            )
            wanted[n] = -0.5 * (a @ grads[n] @ b if leaf.dim() > 1 else a @ grads[n])
    assert_close({n: found[n] for n in body}, wanted, 1e-4)
    for n in grads:
        if net.is_head(n):
            assert torch.equal(found[n], -0.5 * grads[n])
    adaptation = replace(INNER, rule=rule)
    tasks = toy_data().draw("meta_train", TASKS, 0, 0, 3)
    one, other = (e.map(lambda t: adaptation(net, carried, t.support), tasks) for e in (Loop(), Batched()))
    assert_close(other, one, 1e-5)


def test_what_cannot_be_is_one_line(net: Net, carried: Transfer, tmp_path: Path) -> None:
    start = net.start()
    for made in (Subspace(2), MeanStep()):
        with pytest.raises(MetatlError, match="learner Scout"):
            made(net, start)
    with pytest.raises(MetatlError, match="carries 12 directions"):
        Subspace(13)(net, carried)
    with pytest.raises(MetatlError, match="already"):
        transformed([Subspace(2), Subspace(2)], net, carried)
    with pytest.raises(MetatlError, match="learner Scout"):
        penalty(GaussianPrior(), net, start, torch.zeros(25))
    with pytest.raises(MetatlError, match="learner Scout"):
        Preconditioned(SGD(0.1)).resume(start.params, {})
    for wrong in ({"k": 0}, {"explained": 0.0}, {"along": "both"}):
        with pytest.raises(MetatlError, match="Subspace"):
            Subspace(**wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(MetatlError, match="directions is -1"):
        scout(tmp_path, directions=-1)
    with pytest.raises(MetatlError, match="again is -1"):
        scout(tmp_path, again=-1)
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(MetatlError, match="cannot be written"):
        learned(scout(taken), net, start)
