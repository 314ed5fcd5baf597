"""The distance of single columns beside POT's exact optimal transport, whose numbers are kept."""

from __future__ import annotations

import numpy as np

from metatl.shifts.apart import distances
from tests.oracles.domain_rows import domains

KEPT = [0.554244789, 1.257006652, 0.964375972]
"""POT 0.9.7: `ot.wasserstein_1d(source[:, i], target[:, i])` on all rows of the source, 18 of the target."""


def test_distances_are_those_of_pot_in_standard_deviations() -> None:
    source, target = domains()
    target = target[:18]  # another number of rows, so that quantiles do not pair rows off
    spread = np.concatenate([source, target]).std(0)
    np.testing.assert_allclose(distances(source, target) * spread, KEPT, atol=1e-8)
