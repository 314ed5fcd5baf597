"""What the anchor adds at a fixed rate: paired over people, by hand for two of them, whose t is a Cauchy."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
T_OF_ONE = 12.706204736
"""The 97.5 % point of Student's t with one degree of freedom: tan(0.475 pi)."""


def test_anchored_minus_plain_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import hapt_personal_stats

    run = {
        0.0: {10: {"accuracy": [0.90, 0.80], "ece": [0.05, 0.07]}},
        0.3: {10: {"accuracy": [0.91, 0.83], "ece": [0.05, 0.05]}},  # 1 and 3 points above, 0 and 2 below
        0.9: {10: {"accuracy": [0.94, 0.86], "ece": [0.04, 0.04]}},  # 4 and 6 above, 1 and 3 below
    }
    found = hapt_personal_stats.anchored({"5 windows": run}, after=(10,))
    said = {(test["measure"], test["alpha"]): test for test in found}
    assert set(said) == {(m, a) for m in ("accuracy", "ece") for a in (0.3, 0.9)}
    p = {
        mean: 1 - 2 / math.pi * math.atan(mean) for mean in (1, 2, 5)
    }  # two-sided; every error of a mean is 1
    expected = {
        ("accuracy", 0.9): (5, 2 * p[5]),
        ("accuracy", 0.3): (2, p[2]),  # Holm: the larger p stands alone, and is above the doubled smaller one
        ("ece", 0.9): (-2, 2 * p[2]),
        ("ece", 0.3): (
            -1,
            2 * p[2],
        ),  # its own 0.5 is below the doubled smaller one, which it cannot undercut
    }
    for key, (mean, corrected) in expected.items():
        test = said[key]
        assert test["difference"] == pytest.approx(mean)
        assert test["ci95"] == pytest.approx(T_OF_ONE, rel=1e-6)
        assert test["p"] == pytest.approx(corrected)
        assert (test["people"], test["steps"], test["kind"]) == (2, 10, "5 windows")
