"""The cosine classifier."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from metatl.adapt.solvers.solver import (
    ABSENT,
    Solver,
    as_features,
    check_labels,
    check_rows,
    one_hot,
    row_weights,
)
from metatl.types import MetatlError, check_rates


class Cosines(NamedTuple):
    """weight [outputs, d]: scale g v / |v| by class; missing [outputs]: ABSENT, or 0."""

    weight: Tensor
    missing: Tensor


@dataclass(frozen=True)
class CosineClassifier(Solver):
    """Logits scale g_c cos(v_c, x): Baseline++, with its learned length g_c of every class, by descent.

    v starts uniform in +-1 / sqrt(d), g as its length; both descend on the mean cross-entropy of shuffled
    batches: u <- 0.9 u + 0.1 (gradient + decay theta), theta <- theta - lr u, where the first u is the
    gradient. Row weights scale a row's loss, over their mean. A class without a row gets a logit that is
    never chosen. In float64. Source: Chen et al. 2019, arXiv 1904.04232, with the settings of its code.

    Args:
        lr: rate.
        epochs: passes over the rows.
        batch_size: rows of a step.
        decay: weight decay of v and g.
        scale: of the logits; None for 2, and 10 above 200 classes.
        most: steps, of whole epochs but one at least, where `epochs` would be more.
        seed: of the start and the order of rows.
    """

    lr: float = 0.01
    epochs: int = 100
    batch_size: int = 4
    decay: float = 1e-3
    scale: float | None = None
    most: int = 4000
    seed: int = 0

    order_free: ClassVar[bool] = False

    def __post_init__(self) -> None:
        """Refuse values that mean nothing."""
        check_rates(self, "lr", "decay")
        if min(self.epochs, self.batch_size, self.most) < 1 or (self.scale is not None and self.scale <= 0):
            raise MetatlError(
                "CosineClassifier: epochs, batch_size and most are 1 or more, scale is above 0 (or left out)"
            )

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Cosines:
        """The weights [outputs, d] after the last step; constant for derivatives."""
        check_labels(self, y)
        check_rows(features, y, outputs, weight)
        x, rows = _unit(features.detach().double()), row_weights(features, weight)
        target, share = one_hot(y, outputs), rows / rows.mean()
        scale = self.scale or (2.0 if outputs <= 200 else 10.0)
        draw, d = np.random.default_rng(self.seed), x.shape[-1]
        start = draw.uniform(-1 / math.sqrt(d), 1 / math.sqrt(d), (outputs, d))
        v = torch.from_numpy(start).to(x.device)
        g = v.norm(dim=-1, keepdim=True)
        before: tuple[Tensor, Tensor] | None = None
        for some in self._batches(len(x), draw):
            unit, length = _unit(v), v.norm(dim=-1, keepdim=True)
            logits = scale * x[some] @ (g * unit).T
            error = (logits.softmax(-1) - target[some]) * share[some].unsqueeze(-1) / len(some)
            by_weight = scale * error.T @ x[some]
            by_g = (by_weight * unit).sum(-1, keepdim=True)
            by_v = g / length * (by_weight - by_g * unit)
            now = (by_v + self.decay * v, by_g + self.decay * g)
            before = (
                now if before is None else (0.9 * before[0] + 0.1 * now[0], 0.9 * before[1] + 0.1 * now[1])
            )
            v, g = v - self.lr * before[0], g - self.lr * before[1]
        seen = (target * rows.unsqueeze(-1)).sum(0) > 0
        missing = torch.where(seen, 0.0, ABSENT)
        return Cosines(as_features(features, scale * g * _unit(v)), as_features(features, missing))

    def predict(self, fitted: Cosines, features: Tensor) -> Tensor:
        """scale g_c cos(v_c, x), [n, outputs]."""
        z = _unit(features.double()).to(fitted.weight.dtype)
        return torch.where(fitted.missing == 0, z @ fitted.weight.T, fitted.missing)

    def _batches(self, rows: int, draw: np.random.Generator) -> Iterator[Tensor]:
        """The rows of every step."""
        steps = -(-rows // self.batch_size)
        for _ in range(max(min(self.epochs, self.most // steps), 1)):
            order = torch.from_numpy(draw.permutation(rows))
            yield from order.split(self.batch_size)


def _unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True).clamp_min(1e-12)
