"""Quantiles: scikit-learn's linear regression of them, no crossing, coverage."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from metatl.objectives import Anchor, Quantile, coverage, quantiles
from metatl.testing.term import check_term
from metatl.types import Batch, MetatlError
from tests.toys import INPUTS, toy_net

NONE = Anchor({}, None)


def loss(
    term: Quantile, output: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    return term({}, output, Batch(None, y, weight), NONE)


@pytest.mark.parametrize("tau", [0.1, 0.5, 0.8])
def test_a_linear_quantile_is_scikit_learns(tau: float) -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 2))
    y = x @ [1.0, -2.0] + (0.5 + np.abs(x[:, 0])) * rng.normal(size=60)
    theirs = linear.QuantileRegressor(quantile=tau, alpha=0.0, solver="highs").fit(x, y)
    rows, targets, term = torch.from_numpy(np.c_[x, np.ones(60)]), torch.from_numpy(y), Quantile((tau,))
    exact = torch.from_numpy(np.append(theirs.coef_, theirs.intercept_))[:, None]
    w = torch.zeros(3, 1, dtype=torch.float64, requires_grad=True)
    rule = torch.optim.Adam([w], 0.1)
    for step in range(400):
        rule.param_groups[0]["lr"] = 0.1 * (1 - step / 400)
        rule.zero_grad()
        loss(term, rows @ w, targets).backward()
        rule.step()
    best = loss(term, rows @ exact, targets)
    assert loss(term, rows @ w, targets) - best < 2e-3
    assert loss(term, rows @ w, targets) >= best - 1e-12
    for way in (-0.05, 0.05):
        assert loss(term, rows @ exact + way, targets) > best
    np.testing.assert_allclose(loss(term, rows @ exact, targets), np.mean(np.maximum(
        tau * (y - theirs.predict(x)), (tau - 1) * (y - theirs.predict(x)))))  # fmt: skip


def test_quantiles_never_cross_and_coverage_is_of_each() -> None:
    output = 5 * torch.randn(50, 4, dtype=torch.float64)
    found = quantiles(output)
    assert bool((found.diff(dim=1) > 0).all())
    torch.testing.assert_close(found[:, 0], output[:, 0])
    level = torch.tensor([[0.0, 0.0, 0.0]]).expand(4, 3)  # 0, log 2, 2 log 2
    y = torch.tensor([-1.0, 0.5, 1.0, 9.0])
    assert coverage(level, y).tolist() == [0.25, 0.5, 0.75]
    assert coverage(level, y[:, None]).tolist() == [0.25, 0.5, 0.75]


def test_it_keeps_the_laws_of_terms() -> None:
    net = toy_net()
    term = Quantile((0.1, 0.5, 0.9))
    check_term(
        term, net, net.start(), Batch(torch.randn(7, INPUTS, dtype=torch.float64), torch.randn(7).double())
    )
    output, y, times = torch.randn(4, 3), torch.randn(4, 1), torch.tensor([1, 0, 2, 3])
    copies = torch.arange(4).repeat_interleave(times)
    torch.testing.assert_close(loss(term, output, y, times.float()), loss(term, output[copies], y[copies]))


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "none": (lambda: Quantile(()), "rising ones"),
    "falling": (lambda: Quantile((0.5, 0.1)), "rising ones"),
    "one": (lambda: Quantile((0.5, 1.0)), "rising ones"),
    "outputs": (
        lambda: loss(Quantile((0.5,)), torch.zeros(2, 3), torch.zeros(2)),
        "3 outputs, and there are 1",
    ),
    "classes": (lambda: loss(Quantile((0.5,)), torch.zeros(2, 1), torch.zeros(2).long()), "class labels"),
    "two": (lambda: loss(Quantile((0.5,)), torch.zeros(2, 1), torch.zeros(2, 2)), "one real value"),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG)
def test_what_is_refused(call: Callable[[], object], said: str) -> None:
    with pytest.raises(MetatlError, match=said):
        call()
