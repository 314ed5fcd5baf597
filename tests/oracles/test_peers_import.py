"""The peers that engines are compared with import, and differentiate twice, beside the torch under test."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

pytestmark = pytest.mark.peers

LR = 0.4


@pytest.fixture
def task() -> tuple[nn.Module, Tensor, Tensor]:
    """A small net with a norm and a nonlinearity, a support set and a query set."""
    net = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)).double()
    return net, torch.randn(8, 3, dtype=torch.float64), torch.randn(6, 3, dtype=torch.float64)


def _loss(net: Any, x: Tensor) -> Tensor:
    return (net(x) - x[:, :2]).square().mean()


def _by_hand(
    net: nn.Module, support: Tensor, query: Tensor, *, second_order: bool = True
) -> dict[str, Tensor]:
    """d/dw query_loss(w - lr d/dw support_loss(w)), by autograd alone."""
    params = dict(net.named_parameters())
    call = lambda weights, x: torch.func.functional_call(net, weights, (x,))  # noqa: E731
    loss = (call(params, support) - support[:, :2]).square().mean()
    grads = torch.autograd.grad(loss, list(params.values()), create_graph=second_order)
    adapted = {name: w - LR * g for (name, w), g in zip(params.items(), grads, strict=True)}
    outer = (call(adapted, query) - query[:, :2]).square().mean()
    return dict(zip(params, torch.autograd.grad(outer, list(params.values())), strict=True))


def _assert_second_order(net: nn.Module, support: Tensor, query: Tensor) -> None:
    exact = _by_hand(net, support, query)
    first = _by_hand(net, support, query, second_order=False)
    scale = max(float(g.abs().max()) for g in exact.values())
    assert max(float((exact[n] - first[n]).abs().max()) for n in exact) > 1e-3 * scale, "the test cannot tell"
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert float((weight.grad - exact[name]).abs().max()) < 1e-12 * scale, name


def test_learn2learn_inner_loop_is_second_order(
    learn2learn: Any, task: tuple[nn.Module, Tensor, Tensor]
) -> None:
    net, support, query = task
    learner = learn2learn.algorithms.MAML(net, lr=LR).clone()
    learner.adapt(_loss(learner, support))
    _loss(learner, query).backward()
    _assert_second_order(net, support, query)


def test_higher_inner_loop_is_second_order(higher: Any, task: tuple[nn.Module, Tensor, Tensor]) -> None:
    net, support, query = task
    optimiser = torch.optim.SGD(net.parameters(), lr=LR)
    with higher.innerloop_ctx(net, optimiser, copy_initial_weights=False) as (functional, differentiable):
        differentiable.step(_loss(functional, support))
        _loss(functional, query).backward()
    _assert_second_order(net, support, query)


def test_learn2learn_taskset_gives_balanced_tasks(learn2learn: Any) -> None:
    x = torch.arange(60.0).reshape(60, 1)
    examples = torch.utils.data.TensorDataset(x, torch.arange(60) % 6)
    data = learn2learn.data.MetaDataset(examples)
    steps = learn2learn.data.transforms
    taskset = learn2learn.data.Taskset(
        data,
        [steps.NWays(data, 3), steps.KShots(data, 2), steps.LoadData(data), steps.RemapLabels(data)],
        num_tasks=5,
    )
    drawn, labels = taskset.sample()
    assert labels.bincount().tolist() == [2, 2, 2]
    classes = [set((drawn[labels == way, 0] % 6).tolist()) for way in range(3)]
    assert all(len(c) == 1 for c in classes), "one class a way"
    assert len(set.union(*classes)) == 3, "three distinct classes"
