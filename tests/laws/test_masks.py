"""Laws of masks that stand beside FISH's: their size, their draw, what they rank."""

from __future__ import annotations

import torch

from metatl import tree
from metatl.adapt import Descent
from metatl.engines import Batched, Loop
from metatl.guides import MinMax, Shaped, SupportRandom, TopK
from metatl.heads import Ridge, Zeros
from metatl.learners import SourceFisher
from metatl.rules import SGD
from metatl.types import Episode, Guide, Params
from tests.toys import (
    INPUTS,
    WAY,
    WIDTH,
    assert_bitwise,
    assert_close,
    toy_data,
    toy_net,
    toy_task,
    toy_tasks,
)

BODY, HEAD = INPUTS * WIDTH + WIDTH, WAY * (WIDTH + 1)


def body(guide: Guide) -> torch.Tensor:
    return torch.cat([entry.flatten() for name, entry in guide.items() if not name.startswith("head")])


def test_a_mask_of_kept_information_is_the_mask_made_at_once() -> None:
    net, data = toy_net(outputs=8, dtype=torch.float32), toy_data()
    start = net.start()

    def learned(learner: SourceFisher) -> Guide:
        state = learner.init(net, start)
        for step in range(learner.steps):
            state, _ = learner.step(net, Loop(), state, learner.draw(data, 0, step))
        transfer = learner.finish(net, state)
        return transfer.guide if isinstance(learner.shape, TopK) else Shaped(TopK(0.7), 3)(net, transfer)

    raw = MinMax(focus="raw")
    assert_bitwise(
        learned(SourceFisher(2, 10, shape=raw, way=3)), learned(SourceFisher(2, 10, shape=TopK(0.7), way=3))
    )


def random_mask(task: Episode, density: float = 0.8, seed: int = 0) -> Guide:
    net = toy_net()
    params, _ = Ridge().init(net, net.start(), task.support)
    return SupportRandom(density, seed)(net, params, lambda p: net(p, {}, task.support.x), task.support)


def test_a_random_mask_is_the_tasks_own() -> None:
    """Of the same size for every task; the same for the same rows and seed, else another."""
    one, two = toy_task(), toy_task()
    first = random_mask(one)
    assert int(body(first).sum()) == int(0.8 * (BODY + HEAD)) - HEAD
    assert bool((first["head.bias"] == 1).all())
    assert_bitwise(random_mask(one), first)
    assert not torch.equal(body(random_mask(two)), body(first))
    assert not torch.equal(body(random_mask(one, seed=1)), body(first))


def test_random_masks_favour_no_weight() -> None:
    """Over 400 tasks every weight is kept as often as the density says, up to 5 standard deviations."""
    k, tasks = int(0.7 * (BODY + HEAD)) - HEAD, 400
    share = sum(body(random_mask(toy_task(), 0.7)) for _ in range(tasks)) / tasks
    assert isinstance(share, torch.Tensor)
    p = k / BODY
    assert float((share - p).abs().max()) < 5 * (p * (1 - p) / tasks) ** 0.5


def test_engines_draw_the_same_random_masks() -> None:
    net, tasks = toy_net(norm=True), toy_tasks(3)
    start = net.start()
    adaptation = Descent(SGD(0.1), 2, Zeros(), guide_from_support=SupportRandom(0.7))

    def moved(task: Episode) -> Params:
        return tree.sub(
            adaptation(net, start, task.support),
            {**start.params, **Zeros().init(net, start, task.support)[0]},
        )

    one, two = Loop().map(moved, tasks), Batched().map(moved, tasks)
    assert_close(two, one, 1e-10)
    for name in one:
        assert torch.equal(one[name] != 0, two[name] != 0), name
