"""Values that only the end of a fit reads share its beginning, and nothing is chosen differently by that."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from metatl.adapt import (
    Adaptation,
    ClosedForm,
    GeneralisedLinear,
    Laplace,
    LogisticRegression,
    Tempered,
    head_net,
)
from metatl.adapt.sharing import Sharing, alike
from metatl.adapt.solvers import likeliest
from metatl.lab.experiment import with_value
from metatl.transferring import held_out
from metatl.transferring.choose import chosen
from metatl.transferring.fit import Labelled
from metatl.transferring.rows import rows
from metatl.types import Batch, Episode

INNER = ClosedForm(LogisticRegression(0.1))
WAYS: dict[str, list[Adaptation]] = {
    "by rows": [Laplace(INNER, p) for p in (0.1, 1.0, 100.0)],
    "by numbers": [Laplace(INNER, p) for p in (0.1, 1.0, 100.0)],
    "kronecker": [Laplace(INNER, p, covariance="kronecker") for p in (0.1, 1.0, 100.0)],
    "temperatures": [Tempered(INNER, t) for t in (0.5, 2.0)],
}


@pytest.mark.parametrize("name", WAYS)
def test_together_they_answer_what_each_answers(name: str) -> None:
    n, ways = 4 if name == "by rows" else 40, WAYS[name]
    generator = torch.Generator().manual_seed(1)
    x, new = (torch.randn(rows, 5, generator=generator) for rows in (n, 7))
    task = Episode(Batch(x, torch.arange(n) % 3), Batch(new))
    net, transfer = head_net(5, 3)
    found = Sharing(ways[0], tuple(ways)).answer(net, transfer, task)
    assert found.shape == (len(ways), 7, 3)
    for one, way in zip(found, ways, strict=True):
        torch.testing.assert_close(one, way.answer(net, transfer, task))
    assert not torch.equal(found[0], found[1])
    assert alike(ways) == [list(range(len(ways)))]


def test_together_they_say_what_each_says_of_real_values() -> None:
    inner = ClosedForm(GeneralisedLinear(0.1))
    ways = [Laplace(inner, p, noise=None) for p in (0.1, 1.0, 100.0)]
    x, y, new = (torch.randn(9, k, generator=torch.Generator().manual_seed(k)) for k in (5, 2, 5))
    net, transfer = head_net(5, 2)
    task = Episode(Batch(x, y), Batch(new))
    found = Sharing(ways[0], tuple(ways)).predictive(net, transfer, task)
    for mean, variance, way in zip(found.mean, found.sure(), ways, strict=True):
        alone = way.predictive(net, transfer, task)
        torch.testing.assert_close(mean, alone.mean)
        torch.testing.assert_close(variance, alone.sure())
    assert (found.sure()[0] > found.sure()[2]).all(), "a surer prior is surer"


def test_other_fields_keep_ways_apart() -> None:
    ways = [Laplace(ClosedForm(LogisticRegression(l2)), p) for l2 in (0.1, 1.0) for p in (1.0, 2.0)]
    assert alike([*ways, INNER, Laplace(INNER, 7.0)]) == [[0, 1, 5], [2, 3], [4]]


def drawn(n: int, classes: int = 3) -> Labelled:
    """Rows whose last class is missing where there are fewer classes."""
    generator = torch.Generator().manual_seed(n)
    y = torch.arange(n) % classes
    x = torch.randn(n, 6, generator=generator) + 2 * torch.nn.functional.one_hot(y, 6)
    return Labelled(x, y, lambda: x, 3, n)


def test_a_grid_costs_one_fit_a_fold_and_the_same_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a class, or all but one, has no labelled row."""
    row, draws = rows()["laplace"], [drawn(12), drawn(30), drawn(12, 2), drawn(6, 1)]
    fits, real = list[int](), likeliest.minima

    def watched(x: Any, member: Any, weight: Any, how: likeliest.Penalised) -> Any:
        fits.append(len(x))
        return real(x, member, weight, how)

    monkeypatch.setattr(likeliest, "minima", watched)
    found = chosen(row, None, draws)  # pyright: ignore[reportArgumentType]
    assert row.select
    together = sum(fits)
    fits.clear()
    monkeypatch.setattr(held_out, "alike", lambda ways: [[i] for i in range(len(ways))])  # pyright: ignore[reportUnknownLambdaType]
    assert chosen(row, None, draws) == found  # pyright: ignore[reportArgumentType]
    assert sum(fits) == together * len(row.grid["precision"])


def test_of_real_values_what_is_likeliest_is_chosen() -> None:
    """By their log density; the squared error would not tell precisions apart."""
    row, made = rows()["laplace"], torch.Generator().manual_seed(3)
    x, e = torch.randn(40, 6, generator=made), torch.randn(40, 1, generator=made)
    y = x[:, :1] * 3 + e
    (choice,) = chosen(row, None, [Labelled(x, y, lambda: x, 1)])  # pyright: ignore[reportArgumentType]
    assert row.chosen_by(y).name == "NLL"
    assert row.chosen_by(torch.arange(3)).name == "log loss"
    assert choice.how == "cv"
    parts = held_out.parts_of(Labelled(x, y, lambda: x, 1), np.arange(40) % 4)
    values = {"adaptation.solver.l2": 1e-3, "precision": 1.0}
    grid = [replace(row, adaptation=_with(row.adaptation, values | {"precision": p})) for p in (1.0, 1e4)]
    found = held_out.scores(grid, None, [(Labelled(x, y, lambda: x, 1), np.arange(40) % 4)], [parts])  # pyright: ignore[reportArgumentType]
    for one, (score,) in zip(grid, found, strict=True):
        wanted = []
        for inside, rest in parts:
            net, transfer = head_net(6, 1)
            told = one.adaptation.predictive(net, transfer, Episode(inside.support, Batch(rest.features)))
            normal = torch.distributions.Normal(told.mean.double(), told.sure().double().sqrt())
            wanted.append(normal.log_prob(rest.y.double()))
        assert score == pytest.approx(float(torch.cat(wanted).mean()), rel=1e-5)
    assert found[0] != found[1]


def _with(way: Adaptation, values: dict[str, float]) -> Adaptation:
    for path, value in values.items():
        way = with_value(way, path, value)
    return way


def test_the_precision_is_not_held_down_by_the_end_of_its_grid() -> None:
    """Handwritten digits: it lies beyond 10, and inside the grid or where it shrinks nothing any more."""
    digits = pytest.importorskip("sklearn.datasets").load_digits()
    row, found = rows()["laplace"], list[float]()
    assert row.select
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(np.flatnonzero(np.isin(digits.target, (3, 5, 8))))
        x = torch.from_numpy(digits.data[order[:30]]).float() / 4
        y = torch.from_numpy(np.searchsorted([3, 5, 8], digits.target[order[:30]]))
        (choice,) = chosen(row, None, [Labelled(x, y, lambda x=x: x, 3)])  # pyright: ignore[reportArgumentType]
        found.append(choice.selected["precision"])
    assert min(found) > 10, found
    assert min(found) < max(row.grid["precision"]), found
