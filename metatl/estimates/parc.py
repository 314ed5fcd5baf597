"""PARC: whether rows that lie together have targets that lie together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from metatl.estimates.estimate import Pair, TransferabilityEstimate, Values, checked, one_hot

COMPONENTS = 32


def parc(features: Any, y: Any, components: int | None = COMPONENTS) -> float:
    """100 Spearman's rho of the pairs' distances in features and in targets; NaN where one is constant.

    features [n, d], brought to so many principal components and standardised; a distance is 1 - Pearson's
    correlation of two rows. y [n]: classes, whose one-hot rows are compared in the same way; of real values
    (which were not published) |y - y'|. Source: Bolya et al. 2021, arXiv 2111.06977.
    """
    from scipy.stats import spearmanr  # takes a while to import

    f, t = checked(features, y)
    f = f - f.mean(0)
    if components is not None and components < min(f.shape):
        left, sigma, _ = np.linalg.svd(f, full_matrices=False)
        left = left[:, :components] * sigma[:components]
        f = left * np.sign(left[np.abs(left).argmax(0), np.arange(components)])  # its sign is no solver's
    spread = f.std(0)
    f = np.divide(f, spread, out=np.zeros_like(f), where=spread > 1e-12)
    upper = np.triu_indices(len(f), 1)
    ours = _apart(f)[upper]
    theirs = (_apart(one_hot(t)) if t.dtype.kind in "iub" else np.abs(t[:, None] - t[None, :]))[upper]
    if len(ours) < 2 or np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return float("nan")
    return float(100 * np.asarray(spearmanr(ours, theirs))[0])


def _apart(rows: Values) -> Values:
    """1 - correlation of all pairs of rows, in 12 places, so that equal ones stay equal."""
    centred = rows - rows.mean(1, keepdims=True)
    size = np.sqrt((centred**2).sum(1, keepdims=True))
    unit = np.divide(centred, size, out=np.zeros_like(centred), where=size > 0)
    return np.round(1 - unit @ unit.T, 12)


@dataclass(frozen=True)
class PARC(TransferabilityEstimate):
    """Rank correlation of the pairs' distances in the source's features with those in targets, times 100.

    Source: Bolya et al. 2021, arXiv 2111.06977.
    """

    components: int = COMPONENTS
    name: ClassVar[str] = "PARC"

    def fits(self, pair: Pair) -> bool:
        """Always."""
        return True

    def __call__(self, pair: Pair) -> float:
        """`parc`."""
        return parc(pair.features, pair.y, self.components)
