"""Kernel mean matching."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.density_ratio.ratio import DensityRatio, checked, gaussian, median_distance, normalised


@dataclass(frozen=True)
class KMM(DensityRatio):
    """Weights whose kernel mean over the source is nearest to the target's.

        min_w 1/2 w'Kw - k'w,  k_i = (n_s / n_t) sum_j K(x_i, t_j),  0 <= w <= most,
        |mean w - 1| <= (sqrt(n_s) - 1) / sqrt(n_s)

    K is Gaussian. By accelerated projected gradients. Source: Huang et al. 2007 (NIPS 19).

    Args:
        width: of the kernel; the median distance between rows of both for None.
        most: the largest weight, B.
        steps: at most.
    """

    width: float | None = None
    most: float = 1000.0
    steps: int = 2000

    def weights(self, source: Tensor, target: Tensor) -> Tensor:
        """Weights [n] of source rows [n, d] (see DensityRatio)."""
        return normalised(self.matched(*checked(source, target)))

    def matched(self, source: Tensor, target: Tensor) -> Tensor:
        """[n_s] float64: the solution of the problem itself, whose mean need not be 1."""
        count = len(source)
        width = median_distance(torch.cat([source, target])) if self.width is None else self.width
        kernel = gaussian(source, source, width)
        wanted = gaussian(source, target, width).mean(1) * count
        slack = (math.sqrt(count) - 1) / math.sqrt(count)
        rate = 1 / float(torch.linalg.eigvalsh(kernel)[-1])
        weight = ahead = torch.ones(count, dtype=torch.float64)
        pace = 1.0
        for _ in range(self.steps):
            moved = self._projected(ahead - rate * (kernel @ ahead - wanted), slack)
            then = (1 + math.sqrt(1 + 4 * pace**2)) / 2
            step = moved - weight
            ahead, weight, pace = moved + (pace - 1) / then * step, moved, then
            if float(step.abs().max()) < 1e-9:
                break
        return weight

    def _projected(self, weight: Tensor, slack: float) -> Tensor:
        """The nearest point of the box whose mean lies within the slack: clamp(w - shift), by bisection."""
        found = weight.clamp(0, self.most)
        low, high = 1 - slack, 1 + slack
        if low <= float(found.mean()) <= high:
            return found
        aim = low if float(found.mean()) < low else high
        left, right = float(weight.min()) - self.most, float(weight.max())
        for _ in range(100):
            shift = (left + right) / 2
            if float((weight - shift).clamp(0, self.most).mean()) > aim:
                left = shift
            else:
                right = shift
        return (weight - right).clamp(0, self.most)
