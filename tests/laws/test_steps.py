"""Every step of a run has random numbers of its own, which the seed and its number alone decide."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from metatl import Net, train
from metatl.engines import Loop
from metatl.learners import State, Supervised
from metatl.rules import SGD
from metatl.types import Metrics
from tests.toys import toy_data, toy_net


def numbers(seed: int, first: int = 0, steps: int = 3) -> dict[int, torch.Tensor]:
    """What torch's generator gives behind each step of a run, by step."""
    net, learner = toy_net(outputs=8, dtype=torch.float32), Supervised(steps, rule=SGD(0.1))
    found: dict[int, torch.Tensor] = {}

    def drawn(state: State, _: Metrics) -> None:
        found[state.step] = torch.rand(8)

    state = replace(learner.init(net, net.start()), step=first)
    train(learner, net, Loop(), state, toy_data(), seed, [drawn])
    return found


def test_no_two_steps_draw_the_same_numbers() -> None:
    found = [*numbers(0, steps=4).values(), *numbers(1, steps=4).values()]
    assert len(found) == len({tuple(drawn.tolist()) for drawn in found}) == 8


def test_a_step_draws_what_it_draws_wherever_the_run_began() -> None:
    whole, rest = numbers(3, steps=4), numbers(3, first=2, steps=4)
    assert sorted(rest) == [3, 4]
    for step, drawn in rest.items():
        assert torch.equal(drawn, whole[step])


def test_each_step_has_a_dropout_mask_of_its_own() -> None:
    masks: list[torch.Tensor] = []

    class Watched(nn.Dropout):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            masks.append(super().forward(torch.ones(16)))
            return x

    net = Net.of(nn.Sequential(Watched(0.5), nn.Linear(4, 8)))
    learner, data = Supervised(4, rule=SGD(0.1)), toy_data()
    train(learner, net, Loop(), learner.init(net, net.start()), data, 0)
    assert len({tuple(mask.tolist()) for mask in masks}) >= 4
