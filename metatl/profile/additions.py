"""What added weights cost: MAML through LoRA in transformer blocks, all tasks at once beside one by one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from metatl import tree
from metatl.adapt import Descent
from metatl.data.source import Tasks
from metatl.engines import Batched, Engine, Loop
from metatl.lab import record
from metatl.learners import Episodic, State
from metatl.net import Net
from metatl.profile.timing import interleaved, turns
from metatl.rules import SGD
from metatl.transforms import LoRA, transformed
from metatl.types import Batch, Episode, MetatlError

TASKS, WAYS, QUERIES, TOKENS, WIDTH, HEADS, STEPS = 16, 5, 3, 16, 64, 4, 3
CLOSE = 1e-4
"""Distance of the two engines' weights, as a share of the step's length."""


class TransformerBlock(nn.Module):
    """A transformer block before which norms stand: attention, then an MLP of twice the width."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mixed, self.joined = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """[n, tokens, width] -> the same."""
        query, key, value = (
            self.mixed(self.before(x)).unflatten(-1, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        )
        seen = torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5, -1)
        x = x + self.joined((seen @ value).transpose(1, 2).flatten(-2))
        return x + self.narrow(torch.relu(self.wide(self.between(x))))


class Blocks(nn.Module):
    """Two blocks, the mean over tokens, a linear output layer."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(TransformerBlock(width, HEADS), TransformerBlock(width, HEADS))
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """[n, tokens, width] -> [n, outputs]."""
        return self.head(self.blocks(x).mean(-2))


def lora(names: Sequence[str], device: str, repeats: int) -> list[dict[str, Any]]:
    """T8: a second-order meta-step of MAML through LoRA (r 8): 16 tasks at once, beside one after another."""
    torch.manual_seed(0)
    net = Net.of(Blocks(WIDTH, WAYS).to(device))
    net, start = transformed([LoRA(r=8)], net, net.start())
    learner = Episodic(1, TASKS, Tasks(WAYS, 1, QUERIES), Descent(SGD(0.1), STEPS))
    state, drawn = learner.init(net, start), _drawn(device)
    calls = {
        "batched": functools.partial(_stepped, learner, net, Batched(), state, drawn),
        "loop": functools.partial(_stepped, learner, net, Loop(), state, drawn),
    }
    _agree(calls, state)
    with record.bar("timing T8", turns(len(calls), repeats), "turn") as progress:
        seconds = interleaved(calls, repeats, 0.0, device, progress)
    return [
        {
            "name": "T8",
            "tasks": TASKS,
            "steps": STEPS,
            **{f"{name}_seconds": round(value, 4) for name, value in seconds.items()},
            "ratio": round(seconds["loop"] / seconds["batched"], 2),
        }
    ]


def _drawn(device: str) -> Episode:
    """Tasks of noise: nothing is read of them."""
    y = torch.arange(WAYS, device=device).expand(TASKS, WAYS)
    support = Batch(torch.randn(TASKS, WAYS, TOKENS, WIDTH, device=device), y)
    asked = torch.randn(TASKS, WAYS * QUERIES, TOKENS, WIDTH, device=device)
    return Episode(support, Batch(asked, y.repeat(1, QUERIES)))


def _stepped(learner: Episodic, net: Net, engine: Engine, state: State, drawn: Episode) -> State:
    return learner.step(net, engine, state, drawn)[0]


def _agree(calls: dict[str, functools.partial[State]], state: State) -> None:
    """Raise MetatlError where the two engines' weights differ."""
    one, other = (call().transfer.params for call in calls.values())
    step = tree.norm(tree.sub(one, state.transfer.params))
    gap = float(tree.norm(tree.sub(one, other)) / step)
    if not gap < CLOSE:
        raise MetatlError(f"T8: the engines' steps differ by {gap:.1e} of their length; nothing is timed")


MEASURES: dict[str, Callable[[Sequence[str], str, int], list[dict[str, Any]]]] = {"T8": lora}
