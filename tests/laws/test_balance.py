"""Balanced draws and their frequencies; early stopping on any named score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from metatl import Descent
from metatl.adapt import EarlyStopping, pieces_of
from metatl.adapt.scores import SCORES, named
from metatl.data.balance import Balance, balanced_epoch
from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.sinusoid import Sinusoid
from metatl.engines import Batched, Loop
from metatl.heads import Zeros
from metatl.learners import Supervised
from metatl.rules import SGD
from metatl.types import Batch, MetatlError
from tests.cases import Case, assert_same, sgd
from tests.toys import rows, toy_net, toy_tasks

SIZES = (2, 7, 4)
LABELS = torch.arange(3).repeat_interleave(torch.tensor(SIZES))
BOTH: tuple[Balance, Balance] = ("over", "under")


def counts(values: torch.Tensor, most: int) -> list[int]:
    return values.bincount(minlength=most).tolist()


@pytest.mark.parametrize("balance", BOTH)
def test_an_epoch_has_as_many_rows_of_every_class(balance: Balance) -> None:
    size = max(SIZES) if balance == "over" else min(SIZES)
    labels = torch.where(LABELS == 2, 5, LABELS)  # numbers in between are no classes
    for key in range(5):
        drawn = balanced_epoch(labels, balance, key)
        assert counts(labels[drawn], 6) == [size, size, 0, 0, 0, size]
        for held, of_class in zip(SIZES, (0, 1, 5), strict=True):
            seen = drawn[labels[drawn] == of_class].bincount(minlength=len(labels))[labels == of_class]
            assert {int(seen.min()), int(seen.max())} <= {size // held, -(-size // held)}
    drawn = balanced_epoch(labels, balance, 4)
    assert torch.equal(drawn, balanced_epoch(labels, balance, 4))
    assert not torch.equal(drawn, balanced_epoch(labels, balance, 3))
    every = torch.cat([balanced_epoch(labels, balance, key) for key in range(40)])
    assert len(every.unique()) == len(labels)  # none is left out for good


def unequal() -> ClassData:
    banks = {"meta_train": Bank.sorted_by_class(torch.arange(13.0)[:, None], SIZES, "abc")}
    return ClassData("unequal", banks)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("balance", BOTH)
@pytest.mark.parametrize("size", [1, 4, 6, 21, 50])
def test_mini_batches_of_any_size_make_up_balanced_epochs(balance: Balance, size: int) -> None:
    data, length = unequal(), 21 if balance == "over" else 6
    learner = Supervised(batch_size=size, balance=balance)
    drawn = [learner.draw(data, 3, step)["source"] for step in range(-(-2 * length // size))]
    stream = torch.cat([batch.y for batch in drawn])
    for epoch in (stream[:length], stream[length : 2 * length]):
        assert counts(epoch, 3) == [length // 3] * 3
    assert torch.equal(LABELS[torch.cat([batch.x for batch in drawn])[:, 0].long()], stream)
    assert torch.equal(learner.draw(unequal(), 3, len(drawn) - 1)["source"].x, drawn[-1].x)
    plain = replace(learner, balance=None).draw(data, 3, 0)["source"]
    assert torch.equal(plain.x, data.batch("meta_train", size, 3, 0).x)


@pytest.mark.parametrize("balance", BOTH)
def test_a_descent_draws_its_batches_balanced(balance: Balance) -> None:
    support = Batch(torch.arange(13.0)[:, None], LABELS)
    way, length = Descent(steps=14, batch_size=3, balance=balance), 21 if balance == "over" else 6
    drawn = torch.cat([piece.y for piece in pieces_of(way, support, support, 5)])
    assert counts(drawn[:length], 3) == [length // 3] * 3
    whole = list(pieces_of(replace(way, batch_size=None), support, support, 5))
    assert [counts(piece.y, 3) for piece in whole] == [[length // 3] * 3] * 14
    weighted = support._replace(weight=(LABELS != 1).float())
    seen = torch.cat([piece.y for piece in pieces_of(way, weighted, weighted, 5)])
    assert set(seen.tolist()) == {0, 2}


def test_balanced_tasks_run_one_by_one() -> None:
    net, way = toy_net(), Descent(SGD(0.1), 3, Zeros(), batch_size=4, balance="over")
    one = way.fit(net, net.start(), rows(12), 1)
    assert not torch.equal(one["head.weight"], way.fit(net, net.start(), rows(12), 2)["head.weight"])
    assert not way.batched
    assert_same(Loop(), Loop(), "mlp", Case(replace(sgd(3), balance="under", batch_size=4)))
    with pytest.raises(MetatlError, match="balanced draws read labels"):
        Batched().map(lambda episode: way.fit(net, net.start(), episode.support), toy_tasks(2))


@pytest.mark.parametrize(
    ("balance", "data", "told"),
    [("both", unequal(), "over, under or null"), ("over", Sinusoid().load(), "no classes to balance")],
)
def test_balance_that_means_nothing_is_a_line(balance: Any, data: Any, told: str) -> None:
    net = toy_net()
    with pytest.raises(MetatlError, match=told):
        Supervised(balance=balance).check(net, net.start(), data)
    with pytest.raises(MetatlError, match="over, under or null"):
        Descent(balance="both")  # pyright: ignore[reportArgumentType]
    with pytest.raises(MetatlError, match="one a row"):
        Descent(balance="over").fit(net, net.start(), Batch(rows(4).x, torch.rand(4, 3).double()))


def _fitted(watch: str, support: Batch) -> tuple[float, list[float]]:
    """The score of the weights that come back on the rows taken out, and of every point before the stop."""
    net, stopping = toy_net(), EarlyStopping(0.4, patience=4, watch=watch)
    inside, outside = stopping.parted(support, 4)
    way = Descent(SGD(3.0), 40, stopping=stopping)
    judged = named(watch)
    found = judged(net(way.fit(net, net.start(), support, 4), {}, outside.x), outside.y)
    points = replace(way, stopping=None).trajectory(net, net.start(), inside, "first_order")
    return found, [judged(net(p.params, {}, outside.x), outside.y) for p in points]


@pytest.mark.parametrize("watch", ["AUROC", "balanced accuracy", "log loss", "calibration error", "macro F1"])
def test_early_stopping_on_any_score_gives_its_best_weights_back(watch: str) -> None:
    found, values = _fitted(watch, rows(30))
    sign = SCORES[watch].sign
    stop = next(i for i in range(len(values)) if i - _first_best(values[: i + 1], sign) == 4)
    best = _first_best(values[: stop + 1], sign)
    assert best > 0
    assert found == pytest.approx(values[best], abs=1e-9)
    assert found != pytest.approx(_worst(values[: stop + 1], sign))


def _first_best(values: list[float], sign: float) -> int:
    turned = [round(sign * value, 9) for value in values]
    return turned.index(max(turned))


def _worst(values: list[float], sign: float) -> float:
    return sign * min(sign * value for value in values)


def test_a_score_that_cannot_be_watched_is_a_line() -> None:
    net = toy_net()
    with pytest.raises(MetatlError, match=r"watch is loss, score or .* nearest: AUROC"):
        EarlyStopping(watch="auroc")
    with pytest.raises(MetatlError, match="R2 is no score of class labels"):
        Descent(stopping=EarlyStopping(watch="R2")).fit(net, net.start(), rows(12))
    alike = rows(12)._replace(y=torch.zeros(12, dtype=torch.int64))
    with pytest.raises(MetatlError, match="AUROC has no value for the 2 rows taken out"):
        Descent(stopping=EarlyStopping(watch="AUROC")).fit(net, net.start(), alike)
