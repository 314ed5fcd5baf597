"""FISH masks: information by explicit loops, the budget, the place of the head (arXiv 2111.09839)."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from metatl import tree
from metatl.adapt import Descent
from metatl.engines import Batched, Loop
from metatl.guides import MagnitudeMask, RandomMask, SupportFisher, TopK, fisher
from metatl.guides.fisher import FisherKind
from metatl.heads import Head, Prototypes, Ridge, Zeros
from metatl.learners import SourceFisher
from metatl.norm import Rows, moments_from
from metatl.rules import SGD
from metatl.types import Batch, Episode, Guide, MetatlError, Params
from tests.toys import (
    INPUTS,
    WAY,
    WIDTH,
    assert_bitwise,
    assert_close,
    rows,
    toy_data,
    toy_net,
    toy_task,
    toy_tasks,
)

BODY, HEAD = INPUTS * WIDTH + WIDTH, WAY * (WIDTH + 1)


def looped(params: Params, batch: Batch, kind: str) -> Params:
    """One backward pass an example (and class), squared, summed, over their number."""
    net, total = toy_net(), tree.zeros(params)
    for i in range(len(batch.y)):
        for c in range(WAY) if kind == "true" else [int(batch.y[i])]:
            p = {n: w.clone().requires_grad_() for n, w in params.items()}
            log_p = F.log_softmax(net(p, {}, batch.x[i : i + 1]), -1)[0]
            grads = torch.autograd.grad(log_p[c], list(p.values()))
            weight = float(log_p[c].detach().exp()) if kind == "true" else 1.0
            for n, g in zip(p, grads, strict=True):
                total[n] += weight * (g.abs() if kind == "absolute" else g**2) / len(batch.y)
    return total


@pytest.mark.parametrize("kind", ["empirical", "true", "absolute"])
def test_information_is_that_of_explicit_loops(kind: str) -> None:
    net, batch = toy_net(), rows(8)
    params = net.start().params
    found = fisher(lambda p: net(p, {}, batch.x), params, batch.y, kind)  # type: ignore[arg-type]
    assert_close(found, looped(params, batch, kind), 1e-12)


def test_batch_norm_keeps_the_moments_of_all_rows() -> None:
    """Each row's own gradient, with the other rows in the pass: not the gradient of a row that is alone."""
    net, batch = toy_net(norm=True), rows(8)
    start, expected = net.start(), tree.zeros(net.start().params)
    for i in range(8):
        p = {n: w.clone().requires_grad_() for n, w in start.params.items()}
        log_p = net(p, start.buffers, batch.x).log_softmax(-1)[i, batch.y[i]]
        for n, g in zip(p, torch.autograd.grad(log_p, list(p.values())), strict=True):
            expected[n] += g**2 / 8
    found = fisher(lambda p: net(p, start.buffers, batch.x), start.params, batch.y)
    assert_close(found, expected, 1e-12)


@pytest.mark.parametrize("density", [0.5, 0.8, 1.0])
@pytest.mark.parametrize("always", [0, 7])
def test_top_k_is_global_and_counts_the_head(density: float, always: int) -> None:
    """k = int(density * all weights) - head: the largest of all tensors together, whatever their tensor."""
    raw = {"a": torch.rand(5, 4), "b": 0.3 * torch.rand(11), "c": torch.rand(())}
    mask = TopK(density)(raw, always)
    k = int(density * (32 + always)) - always
    flat = torch.cat([raw[n].flatten() for n in raw])
    cut = flat.sort(descending=True).values[k - 1]
    for n, m in mask.items():
        assert torch.equal(m, (raw[n] >= cut).float())
    assert int(sum(m.sum() for m in mask.values())) == k


def test_a_budget_that_the_head_uses_up_is_refused() -> None:
    with pytest.raises(MetatlError, match="raise the density"):
        TopK(0.1)({"a": torch.rand(50)}, 10)
    for density in (0.0, -1.0, 1.5):
        with pytest.raises(MetatlError, match="density"):
            TopK(density)


def body_mask(guide: Guide) -> torch.Tensor:
    return torch.cat([g.flatten() for n, g in guide.items() if not n.startswith("head")])


@pytest.mark.parametrize("head", [Prototypes(), Ridge()], ids=["prototypes", "ridge"])
def test_the_support_mask_ranks_the_body_at_the_start_of_the_task(head: Head) -> None:
    net, task = toy_net(), toy_task()
    start = net.start()
    adaptation = Descent(SGD(0.1), 3, head, guide_from_support=SupportFisher(TopK(0.7)))
    begun, _ = head.init(net, start, task.support)
    raw = looped(tree.detach(begun), task.support, "empirical")
    flat = torch.cat([v.flatten() for n, v in raw.items() if n.startswith("body")])
    k = int(0.7 * (BODY + HEAD)) - HEAD
    expected = torch.zeros(BODY, dtype=torch.float64).scatter(0, flat.topk(k).indices, 1.0)
    guide = adaptation.inner(net, start, task.support).guide
    assert torch.equal(body_mask(guide), expected)
    assert bool((guide["head.weight"] == 1).all())
    moved = tree.sub(adaptation(net, start, task.support), begun)
    assert torch.equal((body_mask(moved) != 0).double(), expected)


def test_a_head_of_zeros_hides_the_body_so_another_stands_in() -> None:
    """Behind zeros every body gradient is 0 and any ranking arbitrary: the ridge head's is taken."""
    net, task = toy_net(), toy_task()
    start = net.start()
    blind, _ = Zeros().init(net, start, task.support)
    dark = fisher(lambda p: net(p, {}, task.support.x), blind, task.support.y)
    assert not any(v.any() for n, v in dark.items() if n.startswith("body"))
    seen = {}
    for head in (Zeros(), Ridge()):
        adaptation = Descent(SGD(0.1), 3, head, guide_from_support=SupportFisher(TopK(0.7)))
        inner = adaptation.inner(net, start, task.support)
        seen[type(head)] = inner.guide
        assert bool((inner.params["head.weight"] == 0).all()) is (head == Zeros())
    assert_bitwise(seen[Zeros], seen[Ridge])


def test_both_engines_take_the_same_masks() -> None:
    net = toy_net(norm=True)
    start, tasks = net.start(), toy_tasks(3)
    kinds: list[FisherKind] = ["empirical", "true"]
    for kind in kinds:
        support_guide = SupportFisher(TopK(0.7), kind)
        adaptation = Descent(SGD(0.1), 2, Zeros(), guide_from_support=support_guide)

        def adapted(task: Episode, adaptation: Descent = adaptation) -> Params:
            return adaptation(net, start, task.support)

        one, two = Loop().map(adapted, tasks), Batched().map(adapted, tasks)
        assert_close(two, one, 1e-10)


def test_the_source_mask() -> None:
    """Mini-batches of source data, with the running moments; the budget of a 3-way head, not of 8."""
    net, data = toy_net(norm=True, outputs=8, dtype=torch.float32), toy_data()
    start, learner = net.start(), SourceFisher(3, 10, shape=TopK(0.8), way=3)
    learner.check(net, start, data)
    state, expected = learner.init(net, start), tree.zeros(start.params)
    for step in range(3):
        batch = learner.draw(data, 0, step)
        state, _ = learner.step(net, Loop(), state, batch)
        with moments_from(Rows(frozen=True)):
            for x, y in zip(batch.x, batch.y, strict=True):
                p = {n: w.clone().requires_grad_() for n, w in start.params.items()}
                log_p = net(p, start.buffers, x[None]).log_softmax(-1)[0, y]
                for n, g in zip(p, torch.autograd.grad(log_p, list(p.values())), strict=True):
                    expected[n] += g**2 / 10
    assert_close(state.memory["sum"], expected, 1e-4)
    guide = learner.finish(net, state).guide
    body = BODY + 2 * WIDTH
    assert int(body_mask(guide).sum()) == int(0.8 * (body + 3 * (WIDTH + 1))) - 3 * (WIDTH + 1)
    assert bool((guide["head.weight"] == 1).all())
    with pytest.raises(MetatlError, match="source classes"):
        learner.check(toy_net(), toy_net().start(), data)


@pytest.mark.parametrize("mask", [RandomMask(0.7, 1, 3), MagnitudeMask(0.7, 3)], ids=["random", "magnitude"])
def test_control_masks_have_the_budget_of_the_tasks_head(mask: RandomMask | MagnitudeMask) -> None:
    net = toy_net(outputs=50)
    start = net.start()
    guide = mask(net, start)
    assert list(guide) == list(start.params)
    k = int(0.7 * (BODY + 3 * (WIDTH + 1))) - 3 * (WIDTH + 1)
    assert int(body_mask(guide).sum()) == k
    if isinstance(mask, MagnitudeMask):
        sizes = body_mask(tree.map(torch.abs, start.params))
        assert torch.equal(body_mask(guide) == 1, sizes >= sizes.sort(descending=True).values[k - 1])
    else:
        assert not torch.equal(body_mask(guide), body_mask(RandomMask(0.7, 2, 3)(net, start)))


def test_a_regression_has_no_fisher_of_labels() -> None:
    net = toy_net()
    with pytest.raises(MetatlError, match="one integer label a row"):
        fisher(lambda p: net(p, {}, rows(4).x), net.start().params, torch.zeros(4, WAY))
