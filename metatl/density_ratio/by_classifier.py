"""The ratio from a classifier that tells the domains apart."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metatl.density_ratio.ratio import DensityRatio, checked, normalised


@dataclass(frozen=True)
class DomainClassifier(DensityRatio):
    """w(x) = (n_s / n_t) p(T | x) / p(S | x), by logistic regression on standardised columns, cross-fitted.

    Every source row is judged by a classifier that was fitted to the other folds. A row's fold is a hash of
    its content, so that folds of identical domains are identical. Source: Bickel, Bruckner & Scheffer 2009.

    Args:
        l2: penalty l2/2 |v|^2 beside the mean loss.
        folds: of both domains.
    """

    l2: float = 1e-2
    folds: int = 5

    def weights(self, source: Tensor, target: Tensor) -> Tensor:
        """Weights [n] of source rows [n, d] (see DensityRatio)."""
        source, target = checked(source, target)
        both = torch.cat([source, target])
        spread = both.std(0, correction=0)
        x = (both - both.mean(0)) / torch.where(spread > 0, spread, torch.ones_like(spread))
        domain = torch.cat([torch.zeros(len(source)), torch.ones(len(target))]).double()
        fold = _folds(both, self.folds)
        found = torch.zeros(len(source), dtype=torch.float64)
        for one in range(self.folds):
            inside = fold != one
            if not 0 < int(domain[inside].sum()) < int(inside.sum()):  # one domain alone is left
                inside = torch.ones_like(inside)
            slope, start = self._fitted(x[inside], domain[inside])
            held = torch.nonzero(fold[: len(source)] == one).flatten()
            found[held] = (x[held] @ slope + start).clamp(-50, 50).exp()
        return normalised(found)

    def _fitted(self, x: Tensor, domain: Tensor) -> tuple[Tensor, Tensor]:
        """Slope [d] and start of the log-odds of the target, both domains of the same weight in all."""
        from scipy.optimize import minimize  # takes a while to import

        mass = torch.where(domain > 0, 0.5 / domain.sum(), 0.5 / (1 - domain).sum())
        rows, wanted, share = x.numpy(), domain.numpy(), mass.numpy()

        def loss(v: np.ndarray) -> tuple[float, np.ndarray]:
            logit = rows @ v[:-1] + v[-1]
            value = share @ (np.logaddexp(0, logit) - wanted * logit) + self.l2 / 2 * v[:-1] @ v[:-1]
            off = share * (1 / (1 + np.exp(-logit)) - wanted)
            return float(value), np.append(rows.T @ off + self.l2 * v[:-1], off.sum())

        best = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", tol=1e-12).x
        return torch.from_numpy(best[:-1]), torch.tensor(best[-1])


def _folds(x: Tensor, folds: int) -> Tensor:
    """[n]: a fold for every row, equal rows in the same."""
    said = (hashlib.sha256(row.tobytes()).digest() for row in x.numpy())
    return torch.tensor([int.from_bytes(one[:4]) % folds for one in said])
