"""Shuffling, schedules, clipping, early stopping and views: laws of each, and values that change nothing."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from metatl import Descent, evaluate, tree
from metatl.adapt import EarlyStopping, pieces_of
from metatl.engines import Batched, Loop
from metatl.evaluation.evaluate import Evaluation
from metatl.heads import Zeros
from metatl.learners import Supervised
from metatl.net import Net
from metatl.objectives import CrossEntropy, KLAnchor
from metatl.rules import SGD, Adam, AdamW, CosineDecay, LinearDecay, WarmUp
from metatl.rules.clipping import clipped
from metatl.rules.schedule import size_at
from metatl.types import Batch, MetatlError
from metatl.views import Colour, Crop, CutMix, Flip, MaskColumns, Mixup, WordDropout, viewed
from tests.cases import Case, assert_same, sgd
from tests.toys import assert_bitwise, assert_close, rows, toy_data, toy_net, toy_task, toy_tasks

TRAINED: dict[str, Descent] = {
    "clipped": replace(sgd(3), clip_norm=0.05),
    "clipped adam": Descent(Adam(0.03, eps_root=1e-4), 3, moments="batch", clip_norm=0.05),
    "schedule": replace(sgd(3), schedule=CosineDecay(1, 0.1)),
    "shuffled": replace(sgd(4), batch_size=4, shuffle=True),
    "mixed": replace(sgd(3), terms=(CrossEntropy(),), views=(Mixup(1.0),)),
    "anchored": replace(sgd(3), terms=(KLAnchor(0.3),), batch_size=4, views=(MaskColumns(0.3),)),
}


@pytest.mark.parametrize("name", TRAINED)
def test_engines_give_one_gradient_of_second_order(name: str) -> None:
    for guide in ("ones", "mixed"):
        assert_same(Batched(2), Loop(), "mlp, batch norm", Case(TRAINED[name], guide=guide))


@pytest.mark.parametrize("views", [(Flip(),), (Crop(2),), (Colour(),), (CutMix(),)])
def test_engines_agree_on_views_of_pictures(views: Any) -> None:
    assert_same(
        Batched(), Loop(), "conv4, stride", Case(replace(sgd(2), terms=(CrossEntropy(),), views=views))
    )


@pytest.mark.parametrize("name", TRAINED)
def test_each_value_changes_what_is_fitted(name: str) -> None:
    net, task = toy_net(), toy_task(12)
    plain = replace(TRAINED[name], clip_norm=None, schedule="constant", shuffle=False, views=())
    ours, theirs = (d.fit(net, net.start(), task.support) for d in (TRAINED[name], plain))
    assert any(not torch.equal(ours[n], theirs[n]) for n in ours)


def test_values_that_change_nothing() -> None:
    net, task = toy_net(), toy_task()
    plain = Descent(SGD(0.3, 0.9), 5, batch_size=4)
    expected = plain.fit(net, net.start(), task.support)
    for other in (
        replace(plain, clip_norm=1e6),
        replace(plain, schedule=WarmUp()),
        replace(plain, schedule=CosineDecay(0, 1.0)),
        replace(plain, views=(MaskColumns(0.0),)),
        replace(plain, terms=(CrossEntropy(),), views=(Mixup(1.0, 0.0),), batch_size=4),
    ):
        found = other.fit(net, net.start(), task.support)
        if isinstance(other.terms[0], CrossEntropy):
            assert_close(found, expected)
        else:
            assert_bitwise(found, expected)


@pytest.mark.parametrize("t", range(0, 20, 3))
def test_schedules_by_formula(t: int) -> None:
    share = max(t - 4, 0) / 16
    rise = (t + 1) / 4 if t < 4 else None
    assert CosineDecay(4, 0.1)(t, 20) == pytest.approx(
        rise or 0.1 + 0.9 * (1 + math.cos(math.pi * share)) / 2, abs=1e-15
    )
    assert LinearDecay(4, 0.1)(t, 20) == pytest.approx(rise or 0.1 + 0.9 * (1 - share), abs=1e-15)
    assert WarmUp(4)(t, 20) == (rise or 1.0)
    for schedule in (CosineDecay(4, 0.1), LinearDecay(4), WarmUp(4), "cosine", "linear"):
        on_device = size_at(schedule, torch.tensor(t), 20)
        assert isinstance(on_device, torch.Tensor)
        torch.testing.assert_close(on_device, torch.tensor(size_at(schedule, t, 20), dtype=torch.float64))


@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine"])
def test_short_names_are_todays_bits(schedule: Any) -> None:
    today = {
        "constant": lambda t: 1.0,
        "linear": lambda t: 1.0 - t / 7,
        "cosine": lambda t: (1.0 + math.cos(math.pi * (t / 7))) / 2.0,
    }[schedule]
    assert [size_at(schedule, t, 7) for t in range(8)] == [today(t) for t in range(8)]


def test_the_scheduled_and_clipped_descent_is_that_of_torch() -> None:
    torch.manual_seed(0)
    net, task = toy_net(), toy_task(12)
    way = Descent(AdamW(0.05), 6, batch_size=5, schedule=CosineDecay(2, 0.1), clip_norm=0.1)
    found = way.fit(net, net.start(), task.support)
    params = [p.detach().clone().requires_grad_() for p in net.start().params.values()]
    optimiser = torch.optim.AdamW(params, 0.05, weight_decay=1e-2)
    falling = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda t: float(CosineDecay(2, 0.1)(t, 6)))
    for piece in pieces_of(way, task.support, task.support, 0):
        optimiser.zero_grad()
        output = net(dict(zip(net.start().params, params, strict=True)), {}, piece.x)
        nn.functional.cross_entropy(output, piece.y).backward()
        torch.nn.utils.clip_grad_norm_(params, 0.1)
        optimiser.step()
        falling.step()
    assert_close(found, dict(zip(found, params, strict=True)), 1e-5)  # torch adds 1e-6 to the norm


def test_clipping_bounds_the_norm_and_has_a_derivative() -> None:
    grads = {"a": torch.randn(3, 2).double().requires_grad_(), "b": torch.randn(4).double().requires_grad_()}
    small = clipped(grads, 0.5)
    torch.testing.assert_close(tree.norm(small), torch.tensor(0.5, dtype=torch.float64))
    ratios = [small[name] / grads[name] for name in grads]
    torch.testing.assert_close(torch.cat([r.flatten() for r in ratios]), ratios[0][0, 0].expand(10))
    assert torch.autograd.gradcheck(
        lambda a, b: tuple(clipped({"a": a, "b": b}, 0.5).values()), tuple(grads.values())
    )
    zero = {"a": torch.zeros(3, requires_grad=True)}
    (found,) = torch.autograd.grad(clipped(zero, 1.0)["a"].sum(), zero["a"])
    assert torch.equal(found, torch.ones(3))


def test_what_is_frozen_counts_for_no_norm() -> None:
    """However a descent runs: `fit` does not differentiate weights whose guide is 0, a call does."""
    net, task = toy_net(), toy_task()
    start = net.start()
    first = next(iter(start.params))
    start = replace(start, guide={**start.guide, first: torch.zeros(())})
    way = Descent(SGD(0.3), 3, clip_norm=0.01)
    assert_close(way.fit(net, start, task.support), way(net, start, task.support))


def test_an_epoch_of_shuffled_batches_holds_every_row_once() -> None:
    way = Descent(steps=6, batch_size=4, shuffle=True)
    batch = Batch(torch.arange(12), torch.arange(12))
    drawn = [piece.x.tolist() for piece in pieces_of(way, batch, batch, 5)]
    one, two = (list(itertools.chain(*half)) for half in (drawn[:3], drawn[3:]))
    assert sorted(one) == sorted(two) == list(range(12))
    assert one != two
    assert one != list(range(12))
    assert drawn == [piece.x.tolist() for piece in pieces_of(way, batch, batch, 5)]
    assert drawn != [piece.x.tolist() for piece in pieces_of(way, batch, batch, 6)]
    over = [p.x.tolist() for p in pieces_of(replace(way, batch_size=5), batch, batch, 5)]
    assert sorted(list(itertools.chain(*over))[:12]) == list(range(12))


def test_early_stopping_takes_rows_of_every_class_and_gives_the_best_weights_back() -> None:
    torch.manual_seed(0)
    net, support = toy_net(), rows(30)
    stopping = EarlyStopping(0.2, patience=3)
    inside, outside = stopping.parted(support, 4)
    assert torch.equal(outside.y.bincount(), torch.full((3,), 2))
    assert torch.equal(inside.y.bincount(), torch.full((3,), 8))
    together = torch.cat([inside.x, outside.x])
    assert sorted(map(tuple, together.tolist())) == sorted(map(tuple, support.x.tolist()))
    way = Descent(SGD(1.0), 60, stopping=stopping)
    found = way.fit(net, net.start(), support, 4)
    plain = replace(way, stopping=None)
    points = [p.params for p in plain.trajectory(net, net.start(), inside, "first_order")]
    losses = [float(nn.functional.cross_entropy(net(p, {}, outside.x), outside.y)) for p in points]
    stop = next(i for i in range(len(losses)) if i - min(range(i + 1), key=losses.__getitem__) == 3)
    best = min(range(stop + 1), key=losses.__getitem__)
    assert 0 < best < len(points) - 1
    assert_close(found, points[best])


def test_early_stopping_never_looks_at_query_rows() -> None:
    net, task = toy_net(), toy_task(12)
    way = Descent(SGD(1.0), 20, stopping=EarlyStopping(patience=2, watch="score"))
    poisoned = task._replace(query=Batch(task.query.x, torch.full_like(task.query.y, 10**6)))
    said = [way.answer(net, net.start(), one, 3) for one in (task, poisoned)]
    assert torch.equal(*said)
    x = torch.cat([task.query.x, torch.full_like(task.query.x[:1], torch.nan)])
    assert torch.equal(way.answer(net, net.start(), task._replace(query=Batch(x)), 3)[:-1], said[0])


def test_early_stopping_in_batches_of_tasks() -> None:
    """Evaluation runs task by task; what maps over tasks or unrolls is told in a line."""
    net, data = toy_net(dtype=torch.float32), toy_data()
    way = Descent(SGD(0.5), 5, Zeros(), stopping=EarlyStopping(0.3, 2))
    asked = Evaluation(episodes=3)
    asked = replace(asked, tasks=replace(asked.tasks, way=3, shot=3, query=2))
    one, two = (evaluate(net, net.start(), way, data, asked, engine).scores for engine in (Batched(), Loop()))
    assert one.tolist() == two.tolist()
    with pytest.raises(MetatlError, match="no batch of tasks can; choose engine Loop"):
        Batched().map(lambda episode: way.fit(net, net.start(), episode.support), toy_tasks(2))
    with pytest.raises(MetatlError, match="leave stopping out of a learner's"):
        assert_same(Batched(), Loop(), "mlp", Case(way))
    with pytest.raises(MetatlError, match="no class has two"):
        way.fit(net, net.start(), rows(3, torch.float32))


_DRAW = torch.Generator().manual_seed(0)
PICTURES = torch.rand(6, 3, 8, 8, generator=_DRAW)
SENTENCES = {"ids": torch.randint(1, 9, (6, 7), generator=_DRAW), "mask": torch.ones(6, 7, dtype=torch.int64)}
SHARES = torch.eye(3)[torch.arange(6) % 3]
VIEWS: list[tuple[Any, Any]] = [
    (Flip(), PICTURES),
    (Flip(axis="vertical"), PICTURES),
    (Crop(2), PICTURES),
    (Colour(), PICTURES),
    (Mixup(1.0), PICTURES),
    (CutMix(), PICTURES),
    (MaskColumns(0.5), torch.rand(6, 9, generator=_DRAW)),
    (WordDropout(0.5), SENTENCES),
    (WordDropout(0.5, token=0), SENTENCES["ids"]),
]


@pytest.mark.parametrize(("view", "x"), VIEWS, ids=lambda part: type(part).__name__)
def test_views_are_functions_of_the_key_and_nothing_at_probability_0(view: Any, x: Any) -> None:
    batch = Batch(x, SHARES)
    never = replace(view, probability=0.0)(3, batch)
    for one, other in zip(tree.leaves(never), tree.leaves(batch), strict=True):
        assert torch.equal(one, other)
    (one, again, other) = (view(key, batch) for key in (3, 3, 11))
    assert all(map(torch.equal, tree.leaves(one), tree.leaves(again)))
    assert not all(map(torch.equal, tree.leaves(one), tree.leaves(other)))
    assert not all(map(torch.equal, tree.leaves(one), tree.leaves(batch)))
    for leaf, before in zip(tree.leaves(one), tree.leaves(batch), strict=True):
        assert leaf.shape == before.shape
        assert leaf.dtype == before.dtype


def test_flip_and_crop_by_hand() -> None:
    seen = Flip(1.0)(0, Batch(PICTURES)).x
    assert torch.equal(seen, PICTURES.flip(-1))
    wide = nn.functional.pad(PICTURES, [2] * 4, mode="replicate")
    cut = Crop(2)(0, Batch(PICTURES)).x
    places = [(a, b) for a in range(5) for b in range(5)]
    found = [
        [(a, b) for a, b in places if torch.equal(cut[i], wide[i, :, a : a + 8, b : b + 8])] for i in range(6)
    ]
    assert all(found)
    assert len({places[0] for places in found}) > 1


def test_colour_has_one_factor_a_picture() -> None:
    """Of the values, of what they are above the mean grey, and of what they are above their own grey."""
    x = 0.4 + 0.1 * PICTURES.double()
    weights = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64).view(1, 3, 1, 1)
    bright = Colour(0.3, 0.0, 0.0)(1, Batch(x)).x
    factor = bright / x
    torch.testing.assert_close(factor, factor[:, :1, :1, :1].expand_as(x))
    contrast = Colour(0.0, 0.3, 0.0)(1, Batch(x)).x
    grey = (weights * x).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    factor = (contrast - grey) / (x - grey)
    torch.testing.assert_close(factor, factor[:, :1, :1, :1].expand_as(x))
    faded = Colour(0.0, 0.0, 0.3)(1, Batch(x)).x
    torch.testing.assert_close((weights * faded).sum(1), (weights * x).sum(1))


def test_mixup_is_its_formula() -> None:
    x = torch.rand(6, 4, dtype=torch.float64)
    mixed = Mixup(1.0)(3, Batch(x, SHARES.double()))
    n = next(
        order
        for order in itertools.permutations(range(6))
        if (d := x[list(order)] - x).abs().sum()
        and torch.linalg.matrix_rank(torch.stack([(mixed.x - x).flatten(), d.flatten()])) < 2
    )
    away = (x[list(n)] - x).flatten()
    share = 1 - float((mixed.x - x).flatten() @ away / (away @ away))
    assert 0 < share < 1
    torch.testing.assert_close(mixed.y, share * SHARES.double() + (1 - share) * SHARES.double()[list(n)])


def test_cutmix_gives_the_share_of_its_pixels() -> None:
    marks = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 1, 8, 8)
    for key in range(5):
        mixed = CutMix()(key, Batch(marks, torch.eye(6)))
        found = torch.stack([(mixed.x == mark).float().mean((1, 2, 3)) for mark in range(6)], 1)
        torch.testing.assert_close(mixed.y, found)


def test_labels_are_shares_only_where_a_loss_takes_them() -> None:
    batch = Batch(torch.rand(6, 4), torch.arange(6) % 3)
    assert torch.equal(viewed((Mixup(1.0, 0.0),), 0, batch, 4).y, torch.eye(4)[batch.y])
    assert viewed((MaskColumns(),), 0, batch, 4).y is batch.y
    net, task = toy_net(), toy_task()
    with pytest.raises(MetatlError, match=r"Mixup mixes labels.*let terms be CrossEntropy"):
        Descent(views=(Mixup(),)).fit(net, net.start(), task.support)
    learner = Supervised(views=(Mixup(),))
    big = Net.of(nn.Linear(4, 8))
    with pytest.raises(MetatlError, match="let terms be CrossEntropy"):
        learner.check(big, big.start(), toy_data())
    replace(learner, terms=(CrossEntropy(),)).check(big, big.start(), toy_data())
    with pytest.raises(MetatlError, match="these have weights"):
        Mixup(1.0)(0, Batch(task.support.x, task.support.y.double(), torch.ones(6)))


@pytest.mark.parametrize("view", [Flip(), Crop(), Colour(), CutMix(), WordDropout()])
def test_rows_that_a_view_means_nothing_for_are_refused(view: Any) -> None:
    with pytest.raises(MetatlError, match=f"{type(view).__name__} is a view of"):
        view(0, Batch(torch.rand(3, 4), SHARES[:3]))


@pytest.mark.parametrize(
    "made",
    [
        lambda: Flip(1.5),
        lambda: Flip(axis="up"),  # pyright: ignore[reportArgumentType]
        lambda: Crop(0),
        lambda: Colour(2.0),
        lambda: Mixup(0.0),
        lambda: CosineDecay(-1),
        lambda: LinearDecay(floor=2.0),
        lambda: EarlyStopping(1.0),
        lambda: EarlyStopping(patience=0),
        lambda: Descent(clip_norm=0.0),
        lambda: Supervised(clip_norm=-1.0),
    ],
)
def test_values_that_mean_nothing_are_refused(made: Any) -> None:
    with pytest.raises(MetatlError):
        made()
