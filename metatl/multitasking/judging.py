"""What a way's outputs are worth on the rows of a draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metatl.data.examples import Index
from metatl.multitasking.problem import Several
from metatl.objectives import quantiles


@dataclass(frozen=True)
class DrawnRows:
    """Rows to learn from, choose by and judge, with all rows as numbers, and what values are scaled by."""

    x: Tensor
    y: Mapping[str, Tensor]
    parts: Mapping[str, Index]
    scale: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Judging:
    """Scores of outputs [rows, outputs] over all rows; levels: of the quantiles that real values have."""

    problem: Several
    draw: DrawnRows
    levels: tuple[float, ...] = ()

    def score(self, name: str, output: Tensor, part: str) -> float:
        """Percent right, or in the target's unit the root of the mean squared error; NaN without rows.

        Of quantiles the mean pinball loss over rows and levels, in the same unit.
        """
        y, said = self._own(name, output, part)
        if not len(y):
            return float("nan")
        if self.problem.targets[name].kind == "classes":
            return 100.0 * float((said.argmax(1) == y).double().mean())
        if not self.levels:
            return float((said - y).square().mean().sqrt())
        off, tau = y - said, torch.tensor(self.levels, dtype=torch.float64)
        return float(torch.maximum(tau * off, (tau - 1) * off).mean())

    def also(self, name: str, output: Tensor) -> dict[str, float]:
        """Of quantiles on the rows that judge: coverage and width of the outermost two, and what levels say.

        `nominal` is what coverage should be, in percent; `off level` the largest gap between the share of
        rows at or below a quantile and its level, in points. Nothing of anything else.
        """
        y, said = self._own(name, output, "test")
        if not self.levels or self.problem.targets[name].kind == "classes" or not len(y):
            return {}
        inside = (y >= said[:, :1]) & (y <= said[:, -1:])
        below = (y <= said).double().mean(0)
        return {
            "coverage": 100.0 * float(inside.double().mean()),
            "nominal": 100.0 * (self.levels[-1] - self.levels[0]),
            "width": float((said[:, -1] - said[:, 0]).mean()),
            "off level": 100.0 * float((below - torch.tensor(self.levels, dtype=torch.float64)).abs().max()),
        }

    def cost(self, outputs: Mapping[str, Tensor]) -> float:
        """Mean over targets of the error on the rows that choose, in shares of the targets' deviation."""
        found: list[float] = []
        for name, output in outputs.items():
            value = self.score(name, output, "val")
            if self.problem.targets[name].kind == "classes":
                found.append(1.0 - value / 100.0)
            else:
                y = self.problem.y[name]
                found.append(value / float(y[~y.isnan()].double().std()))
        return float(np.mean(found))

    def floor(self, name: str) -> float:
        """Loss of the best constant on the rows that teach: entropy of labels in nats, variance of values.

        1 where it would be 0, or where no row has the target.
        """
        rows = torch.from_numpy(self.draw.parts["train"])
        y = self.draw.y[name][rows[self.problem.has(name)[rows]]].flatten()
        if not len(y):
            return 1.0
        if y.is_floating_point():
            return float(y.double().var(correction=0)) or 1.0
        share = y.bincount().double() / len(y)
        return float(-(share[share > 0] * share[share > 0].log()).sum()) or 1.0

    def _own(self, name: str, output: Tensor, part: str) -> tuple[Tensor, Tensor]:
        """Targets and what is said of them, of a part's rows that have some; values in their unit."""
        rows = torch.from_numpy(self.draw.parts[part])
        rows = rows[self.problem.has(name)[rows]]
        y, said = self.problem.y[name][rows], output[rows]
        if self.problem.targets[name].kind == "classes":
            return y, said
        mean, spread = self.draw.scale[name]
        said = quantiles(said.double()) if self.levels else said.double()
        return y.double(), said * spread + mean
