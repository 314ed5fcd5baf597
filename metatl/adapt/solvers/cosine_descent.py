"""Descent of directions and lengths of classes on the cross-entropy of their cosines."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class CosineDescent:
    """v and g of logits scale g_c cos(v_c, x), by momentum on shuffled batches; see `CosineClassifier`."""

    scale: float
    lr: float
    decay: float
    batch_size: int
    epochs: int
    seed: int

    def __call__(self, x: Tensor, target: Tensor, share: Tensor) -> Tensor:
        """scale g v / |v| [outputs, d] after the last step.

        x: rows of length 1, [n, d], float64; target: one-hot [n, outputs]; share: factor of a row's loss [n].
        """
        draw, (d, outputs) = np.random.default_rng(self.seed), (x.shape[-1], target.shape[-1])
        start = draw.uniform(-1 / math.sqrt(d), 1 / math.sqrt(d), (outputs, d))
        v = torch.from_numpy(start).to(x.device)
        g = v.norm(dim=-1, keepdim=True)
        before: tuple[Tensor, Tensor] | None = None
        for some in self._batches(len(x), draw):
            along, length = unit(v), v.norm(dim=-1, keepdim=True)
            logits = self.scale * x[some] @ (g * along).T
            error = (logits.softmax(-1) - target[some]) * share[some].unsqueeze(-1) / len(some)
            by_weight = self.scale * error.T @ x[some]
            by_g = (by_weight * along).sum(-1, keepdim=True)
            by_v = g / length * (by_weight - by_g * along)
            now = (by_v + self.decay * v, by_g + self.decay * g)
            before = (
                now if before is None else (0.9 * before[0] + 0.1 * now[0], 0.9 * before[1] + 0.1 * now[1])
            )
            v, g = v - self.lr * before[0], g - self.lr * before[1]
        return self.scale * g * unit(v)

    def _batches(self, rows: int, draw: np.random.Generator) -> Iterator[Tensor]:
        """The rows of every step."""
        for _ in range(self.epochs):
            order = torch.from_numpy(draw.permutation(rows))
            yield from order.split(self.batch_size)


def unit(x: Tensor) -> Tensor:
    """Rows of length 1 of rows [n, d]."""
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)
