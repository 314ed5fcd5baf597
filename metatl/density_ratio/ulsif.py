"""Unconstrained least-squares importance fitting."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from metatl import positive
from metatl.density_ratio.ratio import DensityRatio, kernels, normalised

PENALTIES, FOLDS = (1e-3, 1e-2, 1e-1, 1.0), 5


@dataclass(frozen=True)
class ULSIF(DensityRatio):
    """w(x) = sum_l a_l K(x, c_l), a = max(0, (H + penalty I)^-1 h).

        H = (1 - alpha) mean_S k k' + alpha mean_T k k',  h = mean_T k

    K is Gaussian at target rows c. alpha above 0 is RuLSIF, whose ratio p_T / (alpha p_T + (1 - alpha) p_S)
    is at most 1 / alpha. Width (multiples of the median distance) and penalty are those with the least
    held-out 1/2 a'Ha - h'a of five folds, of FACTORS and PENALTIES, where they are None. Source: Kanamori,
    Hido & Sugiyama 2009, JMLR 10; Yamada et al. 2011.

    Args:
        width: of the kernel.
        penalty: beside H.
        alpha: 0 to below 1.
        centres: at most.
    """

    width: float | None = None
    penalty: float | None = None
    alpha: float = 0.0
    centres: int = 100

    def weights(self, source: Tensor, target: Tensor) -> Tensor:
        """Weights [n] of source rows [n, d] (see DensityRatio)."""
        made = kernels(source, target, self.centres, self.width)
        penalties = PENALTIES if self.penalty is None else (self.penalty,)
        pairs = [(w, p) for w in made for p in penalties]
        best = (
            pairs[0] if len(pairs) == 1 else min(pairs, key=lambda one: self._held_out(*made[one[0]], one[1]))
        )
        s, t = made[best[0]]
        return normalised(s @ self._solved(*self._moments(s, t), best[1]))

    def _moments(self, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return (1 - self.alpha) * s.T @ s / len(s) + self.alpha * t.T @ t / len(t), t.mean(0)

    @staticmethod
    def _solved(gram: Tensor, mean: Tensor, penalty: float) -> Tensor:
        eye = torch.eye(len(gram), dtype=gram.dtype)
        return positive.solve(gram + penalty * eye, mean).clamp_min(0)

    def _held_out(self, s: Tensor, t: Tensor, penalty: float) -> float:
        folds, total = min(FOLDS, len(s), len(t)), 0.0
        if folds < 2:
            return penalty
        for fold in range(folds):
            in_s, in_t = torch.arange(len(s)) % folds != fold, torch.arange(len(t)) % folds != fold
            found = self._solved(*self._moments(s[in_s], t[in_t]), penalty)
            gram, mean = self._moments(s[~in_s], t[~in_t])
            total += float(found @ gram @ found / 2 - mean @ found)
        return total
