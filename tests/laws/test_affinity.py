"""Transfers between tasks: normalisation, agreement of orders, nets side by side."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from metatl.affinity.agreement import agreement, tau
from metatl.affinity.matrix import Transfers
from metatl.affinity.normalised import affinity, beats
from metatl.affinity.tasks import Task
from metatl.affinity.trunk import Trunks, learned, stacked
from metatl.data.fixed import Fixed
from metatl.data.targets import Targets
from metatl.estimates import HScore, LogME, NearestNeighbour

RNG = np.random.default_rng(0)


def test_two_sources_have_the_affinities_of_their_shares() -> None:
    """W' = [[1, r], [1 / r, 1]] has the eigenvector (r, 1): shares themselves."""
    losses = np.array([[0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0]])
    assert beats(losses)[0, 1] == 0.75
    np.testing.assert_allclose(affinity(losses), [0.75, 0.25])


def test_affinities_know_order_within_rows_alone() -> None:
    losses = RNG.random((4, 50))
    found = affinity(losses)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(affinity(np.exp(5 * losses) + RNG.random(50)), affinity(np.exp(5 * losses)))
    np.testing.assert_allclose(affinity(losses[::-1]), found[::-1])
    np.testing.assert_allclose(affinity(np.ones((3, 9))), 1 / 3)
    best = np.vstack([np.zeros(50), losses])
    assert affinity(best).argmax() == 0


def test_an_estimate_that_orders_as_the_gains_do_has_tau_one() -> None:
    gains = RNG.normal(size=(6, 6))
    np.fill_diagonal(gains, np.nan)
    found = agreement(np.exp(gains), gains)
    assert found.tau == pytest.approx(1)
    assert found.ci95 == pytest.approx((1, 1))
    assert found.targets == 6
    assert found.picked == pytest.approx(np.nanmax(gains, 0).mean())
    assert agreement(-gains, gains).tau == pytest.approx(-1)
    assert agreement(np.zeros((6, 6)), gains).tau is None
    assert agreement(gains[:, :4], gains[:, :4]).ci95 is None
    assert np.isnan(tau([1.0], [2.0]))


def test_errors_at_the_top_count_most() -> None:
    gains = np.arange(6.0)
    assert tau(np.array([0, 1, 2, 3, 5, 4.0]), gains) < tau(np.array([1, 0, 2, 3, 4, 5.0]), gains)


@pytest.mark.parametrize("kind", ["classes", "real"])
def test_nets_side_by_side_learn_as_each_alone(kind: str) -> None:
    x = torch.randn(12, 5)
    y = torch.arange(12) % 3 if kind == "classes" else torch.randn(12, 1)
    starts = [Trunks.started(5, 7, 1, seed).with_outputs(3 if kind == "classes" else 1) for seed in range(3)]
    both = learned(stacked(starts), x, y, 1e-2, 20)
    for place, start in enumerate(starts):
        alone = learned(start, x, y, 1e-2, 20)
        torch.testing.assert_close(both(x)[place], alone(x)[0])
    frozen = learned(starts[0], x, y, 1e-2, 3, head_only=True)
    assert torch.equal(frozen.weight, starts[0].weight)
    assert not torch.equal(frozen.head, starts[0].head)


def task(name: str, map_: torch.Tensor, seed: int) -> Task:
    """Rows whose class is that of the largest of two or more products with them."""
    x = torch.randn(120, 6, generator=torch.Generator().manual_seed(seed))
    y = (x @ map_).argmax(1)
    targets = Targets("classes", tuple("abcd"[: map_.shape[1]]), y)
    return Task(name, x, targets, Fixed(y.numpy(), np.arange(60), np.arange(60, 120)))


def test_a_source_that_learned_nothing_is_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    """All starts of a target are then one, and so is all that is said of them."""
    for name, value in (("STEPS", 3), ("SOURCE_STEPS", 0), ("WIDTH", 8)):
        monkeypatch.setattr(f"metatl.affinity.matrix.{name}", value)
    draw = torch.Generator().manual_seed(3)
    tasks = [task(name, torch.randn(6, 3, generator=draw), seed) for seed, name in enumerate("abc")]
    found = Transfers(tasks, [LogME(), HScore(), NearestNeighbour()], 3).cell(0, 0)
    assert found.scores[0] == found.scores[1] == found.scores[2]
    np.testing.assert_allclose(found.losses[0], found.losses[2], atol=2e-6)
    assert found.estimates[0] == found.estimates[1]
    monkeypatch.setattr("metatl.affinity.matrix.SOURCE_STEPS", 3)
    assert Transfers(tasks, [], 3).cell(0, 0).losses[0] != found.losses[0]
