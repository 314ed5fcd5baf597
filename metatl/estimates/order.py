"""Several sources in the order of an estimate."""

from __future__ import annotations

from collections.abc import Mapping
from math import isnan

from metatl.estimates.estimate import Pair, TransferabilityEstimate


def ordered(pairs: Mapping[str, Pair], estimate: TransferabilityEstimate) -> list[tuple[str, float]]:
    """Sources of one target by name with what the estimate says, the best first.

    Equal ones stay in their order; those without a value (NaN) or that the estimate does not fit come last.
    """
    said = {name: estimate(pair) if estimate.fits(pair) else float("nan") for name, pair in pairs.items()}
    return sorted(said.items(), key=lambda one: (isnan(one[1]), -one[1] if not isnan(one[1]) else 0.0))
