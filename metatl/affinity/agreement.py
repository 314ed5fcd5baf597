"""How well estimates tell which source helps: weighted Kendall's tau over sources, target by target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
RESAMPLED = 2000


@dataclass(frozen=True)
class Agreement:
    """How an estimate agrees with the gains.

    tau: mean over targets, None without one; ci95: of it; targets: how many have one; picked: mean gain of
    the source that the estimate puts first.
    """

    tau: float | None
    ci95: tuple[float, float] | None
    targets: int
    picked: float | None


def tau(estimates: Any, gains: Any) -> float:
    """Weighted Kendall's tau of two orders of the same sources, [s] each: errors at the top count most.

    Source: Vigna 2015, hyperbolic weights, as scipy has it. NaN where either does not vary.
    """
    from scipy.stats import weightedtau  # takes a while to import

    if len(estimates) < 2 or np.ptp(estimates) == 0 or np.ptp(gains) == 0:
        return float("nan")
    return float(np.asarray(weightedtau(estimates, gains))[0])


def agreement(estimates: Values, gains: Values, seed: int = 0) -> Agreement:
    """Of estimates [s, t] and gains [s, t] of all pairs, NaN on the diagonal and where there is none.

    The interval is the percentile bootstrap over targets, 2,000 times; fewer than five have none. Targets
    share their sources, which it does not see.
    """
    taus, picked = list[float](), list[float]()
    for e, g in zip(estimates.T, gains.T, strict=True):
        there = ~(np.isnan(e) | np.isnan(g))
        if there.any():
            picked.append(float(g[there][e[there].argmax()]))
        if not np.isnan(one := tau(e[there], g[there])):
            taus.append(one)
    best = float(np.mean(picked)) if picked else None
    if not taus:
        return Agreement(None, None, 0, best)
    drawn = np.random.default_rng(seed).choice(np.array(taus), (RESAMPLED, len(taus))).mean(1)
    low, high = (float(one) for one in np.quantile(drawn, (0.025, 0.975)))
    return Agreement(float(np.mean(taus)), (low, high) if len(taus) >= 5 else None, len(taus), best)
