"""Nets with one hidden layer, several at once: what is learned on a task, and what is carried to another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.objectives.task_loss import row_loss
from metatl.tree import detach


@dataclass(frozen=True)
class Trunks:
    """s nets side by side: relu(W x + b), an output layer V h + a after it.

    weight [s, h, d], bias [s, h], head [s, c, h], shift [s, c].
    """

    weight: Tensor
    bias: Tensor
    head: Tensor
    shift: Tensor

    @staticmethod
    def started(inputs: int, width: int, outputs: int, seed: int) -> Trunks:
        """One net with He's normal weights, no bias and an output layer of zeros."""
        draw = torch.Generator().manual_seed(seed)
        weight = torch.randn(1, width, inputs, generator=draw) * math.sqrt(2 / inputs)
        return Trunks(weight, torch.zeros(1, width), *_zeros(1, outputs, width))

    def with_outputs(self, outputs: int) -> Trunks:
        """The same hidden layers with output layers of zeros."""
        return Trunks(self.weight, self.bias, *_zeros(len(self.weight), outputs, self.weight.shape[1]))

    def hidden(self, x: Tensor) -> Tensor:
        """[s, n, h] of rows x [n, d]."""
        return torch.relu(x @ self.weight.mT + self.bias[:, None])

    def __call__(self, x: Tensor) -> Tensor:
        """[s, n, c] of rows x [n, d]."""
        return self.hidden(x) @ self.head.mT + self.shift[:, None]


def _zeros(count: int, outputs: int, width: int) -> tuple[Tensor, Tensor]:
    return torch.zeros(count, outputs, width), torch.zeros(count, outputs)


def stacked(parts: Sequence[Trunks]) -> Trunks:
    """Nets of one shape side by side."""
    return Trunks(*(torch.cat([vars(part)[name] for part in parts]) for name in vars(parts[0])))


def row_losses(outputs: Tensor, y: Tensor) -> Tensor:
    """[s, n]: log loss of classes y [n], squared error of real values y [n, 1]."""
    nets = len(outputs)
    found = row_loss(y)(outputs.flatten(0, 1), y.repeat(nets, *[1] * (y.dim() - 1)))
    return found.flatten(1).mean(1).unflatten(0, (nets, -1))


def learned(start: Trunks, x: Tensor, y: Tensor, rate: float, steps: int, head_only: bool = False) -> Trunks:
    """Every net after so many steps of Adam on the mean loss of all rows, each as if it were alone.

    head_only: whether hidden layers stay.
    """
    held = {name: leaf.clone() for name, leaf in vars(start).items()}
    moving = [held[name].requires_grad_() for name in held if not head_only or name in ("head", "shift")]
    rule = torch.optim.Adam(moving, rate)
    for _ in range(steps):
        rule.zero_grad(set_to_none=True)
        row_losses(Trunks(**held)(x), y).mean(1).sum().backward()
        rule.step()
    return Trunks(**detach(held))
