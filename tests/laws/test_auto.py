"""The automatic engine takes one of the two, by size unless told otherwise, and gives what that one gives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from metatl.arithmetic import products, products_of
from metatl.engines import Auto, Batched, Engine, Loop
from metatl.models import MLP, Conv4
from metatl.net import Net
from metatl.types import MetatlError
from tests.cases import MAIN, assert_same, episodes_for, gradients, net_of, sgd
from tests.outer import Outer, outer_gradient


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def used(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The engines that ran, in order."""
    seen: list[str] = []
    for engine in (Batched, Loop):
        for method in ("map", "grad"):
            stock = getattr(engine, method)

            def watched(self: Engine, *args: Any, _stock: Any = stock) -> Any:
                seen.append(type(self).__name__)
                return _stock(self, *args)

            monkeypatch.setattr(engine, method, watched)
    return seen


@pytest.mark.parametrize("engine", [Auto(), Auto(most=0.0), Auto(by="time"), Auto(tasks_per_chunk=2)])
def test_it_gives_the_same_gradient(engine: Auto) -> None:
    assert_same(engine, Loop(), "conv4, stride", MAIN["momentum"])


def test_size_decides(used: list[str]) -> None:
    gradients(Auto(), "conv4, stride", MAIN["sgd, 1 step"])
    gradients(Auto(most=0.0), "conv4, stride", MAIN["sgd, 1 step"])
    assert used == ["Batched", "Loop"]


def test_size_decides_in_evaluation_too(used: list[str]) -> None:
    net, shape = net_of("conv4, stride")
    start, episodes = net.start(), episodes_for(shape)

    def fn(episode: Any) -> Any:
        return sgd(2, 0.1)(net, start, episode.support)

    results = [engine.map(fn, episodes) for engine in (Auto(), Auto(most=0.0))]
    assert used == ["Batched", "Loop"]
    torch.testing.assert_close(*results, rtol=1e-9, atol=1e-9)


def test_time_decides_once_for_each_shape(used: list[str]) -> None:
    engine = Auto(by="time")
    for _ in range(2):
        gradients(engine, "mlp", MAIN["sgd, 1 step"])
    net, shape = net_of("mlp")
    outer_gradient(engine, net, net.start(), sgd(2), episodes_for(shape), Outer())
    assert len(used) == 6 + 1 + 6 + 1 + 6 + 1, "another net object, another adaptation: timed anew"
    again = len(used)
    outer_gradient(engine, net, net.start(), sgd(2), episodes_for(shape), Outer())
    assert len(used) == again + 1


def test_a_chunk_without_tasks_is_refused() -> None:
    with pytest.raises(MetatlError, match="tasks_per_chunk"):
        Auto(tasks_per_chunk=0)


def test_products_of_nets_counted_by_hand() -> None:
    mlp = Net.of(MLP((4,), 3, (8, 6)))
    found = products(mlp, mlp.start(), torch.randn(5, 4))
    assert (found.first, found.rest, found.calls) == (5 * 4 * 8, 5 * (8 * 6 + 6 * 3), 3)
    assert found.gradient() == 2 * 160 + 3 * 330
    assert found.inner_step("full") == 4 * 160 + 9 * 330
    assert found.inner_step("first_order") == found.gradient()
    conv = Net.of(Conv4((1, 28, 28), 5))
    found = products(conv, conv.start(), torch.randn(5, 1, 28, 28))
    sides = (7 * 7, 4 * 4, 2 * 2)
    assert found.first == 5 * 14 * 14 * 9 * 64
    assert found.rest == 5 * (sum(sides) * 9 * 64 * 64 + 64 * 5)
    # The limit of W1 (1 step, 1 query): 801 tasks/s at 250 GFLOP/s.
    assert round(250e9 / 2 / (found.inner_step("full") + found.gradient())) == 801
    assert (
        products_of(lambda: conv(conv.start().params, {}, torch.randn(5, 1, 28, 28))).rest
        == found.first + found.rest
    )
