"""Intervals of real values from Python: in their units, as wide as asked for, holding what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from metatl import MetatlError, Regressor

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


def drawn(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two targets of very different units, linear in three columns, noise of 2 and 0.003."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3))
    y = x @ rng.permutation([[3.0, 0.001], [-1.0, 0.002], [0.5, 0.0]]) + [50.0, 1.0]
    return x, y + rng.normal(size=(count, 2)) * [2.0, 0.003]


@pytest.mark.parametrize("method", ["bayes", "laplace", "ensemble", "gaussian-process"])
def test_intervals_hold_the_share_that_was_asked_for(method: str, tmp_path: Path) -> None:
    x, y = drawn(700)
    found = Regressor(method=method).fit(x[:100], y[:100])
    new, true = x[100:], y[100:]
    for level in (0.5, 0.95):
        low, high = found.predict_interval(new, level)
        assert low.shape == high.shape == true.shape
        np.testing.assert_allclose((low + high) / 2, found.predict(new), rtol=1e-6)
        inside = (low <= true) & (true <= high)
        assert found.coverage(new, true, level) == inside.mean()
        for held in inside.sum(0).tolist():  # noise of 100 rows is known to about 7 %
            assert abs(held / 600 - level) < 0.08
    wide, narrow = (np.subtract(*found.predict_interval(new, level)[::-1]) for level in (0.95, 0.5))
    np.testing.assert_allclose(wide / narrow, stats.norm.ppf(0.975) / stats.norm.ppf(0.75), rtol=1e-5)
    assert 1.5 < np.median(wide[:, 0]) / (2 * 1.96) < 2.6
    assert 0.002 < np.median(wide[:, 1]) / (2 * 1.96) < 0.004
    found.save(tmp_path)
    np.testing.assert_array_equal(Regressor.load(tmp_path).predict_interval(new), found.predict_interval(new))
    one = Regressor(method=method).fit(x[:100], y[:100, 0])
    assert one.predict_interval(new)[0].shape == (600,)
    assert one.coverage(new, true[:, 0]) == pytest.approx(0.95, abs=0.05)


def test_what_has_no_interval_is_one_line() -> None:
    x, y = drawn(40)
    plain, sure = Regressor().fit(x, y[:, 0]), Regressor(method="bayes").fit(x, y[:, 0])
    with pytest.raises(ValueError, match=r"ridge gives values and not how far .* method='bayes'"):
        plain.predict_interval(x)
    with pytest.raises(MetatlError, match="level is 95"):
        sure.predict_interval(x, 95)
    with pytest.raises(ValueError, match=r"y is \[40, 2\], and predictions are \[40\]"):
        sure.coverage(x, y)
    with pytest.raises(MetatlError, match="not fitted"):
        Regressor().predict_interval(x)
