"""Aggregates of METHODS against torchjd, against their own definitions, and by their published values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metatl.aggregates import (
    DWA,
    IMTLG,
    IMTLL,
    MGDA,
    Aggregate,
    AlignedMTL,
    CAGrad,
    FallingHelpers,
    GradNorm,
    HelperGate,
    Mean,
    NashMTL,
    PCGrad,
    RandomWeights,
    Uncertainty,
    UPGrad,
    Weighted,
)
from metatl.aggregates.gramian import gramian
from metatl.rules import SGD
from metatl.types import MetatlError

GOLDEN: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "golden" / "aggregates.json").read_text(encoding="utf-8")
)
EXACT: dict[str, Aggregate] = {"IMTLG": IMTLG(), "AlignedMTL": AlignedMTL(), "UPGrad": UPGrad()}
GRAMIAN: dict[str, Any] = {**EXACT, "MGDA": MGDA(), "CAGrad": CAGrad(), "NashMTL": NashMTL()}


def of(aggregate: Aggregate, gradients: Tensor, losses: Tensor | None = None) -> Tensor:
    """The aggregate of gradients whose entries lie in two variables."""
    given = {"a": gradients[:, :2], "b": gradients[:, 2:]}
    losses = torch.ones(len(gradients), dtype=torch.float64) if losses is None else losses
    found, _ = aggregate(given, losses, aggregate.init(0))
    return torch.cat([found["a"], found["b"]])


def golden(case: str) -> Tensor:
    return torch.tensor(GOLDEN[case]["gradients"], dtype=torch.float64)


def off(found: Tensor, wanted: Any) -> float:
    wanted = torch.as_tensor(wanted, dtype=torch.float64)
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("case", GOLDEN)
@pytest.mark.parametrize("name", EXACT)
def test_as_torchjd(name: str, case: str) -> None:
    assert off(of(EXACT[name], golden(case)), GOLDEN[case][name]) < 1e-8


@pytest.mark.parametrize("case", ["two", "three", "ten"])
def test_mgda_as_torchjd_where_its_steps_arrive(case: str) -> None:
    assert off(of(MGDA(), golden(case)), GOLDEN[case]["MGDA"]) < 1e-8


@pytest.mark.parametrize("case", GOLDEN)
@pytest.mark.parametrize(("name", "far"), [("CAGrad", 2e-4), ("NashMTL", 1e-5)])
def test_directions_as_far_as_torchjd_solves(name: str, far: float, case: str) -> None:
    found, wanted = of(GRAMIAN[name], golden(case)), torch.tensor(GOLDEN[case][name], dtype=torch.float64)
    if name == "NashMTL":  # whose length is a matter of definition
        found, wanted = found / found.norm(), wanted / wanted.norm()
    assert off(found, wanted) < far


@pytest.mark.parametrize("case", GOLDEN)
def test_mgda_is_the_shortest_vector_of_the_hull(case: str) -> None:
    """d . g_i >= |d|^2 for every i: no vertex lies nearer."""
    d, each = of(MGDA(), golden(case)), golden(case)
    assert bool((each @ d >= d @ d - 1e-10).all())


@pytest.mark.parametrize("case", GOLDEN)
def test_cagrad_helps_the_worst_task_most(case: str) -> None:
    """d = g_0 + c |g_0| g_w / |g_w|, and no vertex improves on w, whose objective is convex: 1e-8."""
    each, c = golden(case), 0.4
    mean = each.mean(0)
    ahead = of(CAGrad(c), each) - mean
    assert float(ahead.norm()) == pytest.approx(c * float(mean.norm()), rel=1e-9)
    slope = each @ (mean + ahead)  # of the objective in w: g_i . (g_0 + c |g_0| g_w / |g_w|)
    weights = torch.from_numpy(CAGrad(c).weights(gramian({"a": each}))) - 1 / len(each)
    w = weights / weights.sum()
    assert float(w.min()) >= 0
    assert float(w @ slope - slope.min()) < 1e-8 * float(slope.abs().max())


@pytest.mark.parametrize("case", ["two", "three", "ten"])
def test_nash_is_a_bargain(case: str) -> None:
    each = golden(case)
    held = gramian({"a": each})
    w = len(each) * NashMTL().weights(held)
    assert w == pytest.approx(1 / (held / np.linalg.norm(held) @ w), rel=1e-8)


@pytest.mark.parametrize("case", GOLDEN)
@pytest.mark.parametrize("name", ["MGDA", "UPGrad", "NashMTL"])
def test_no_loss_rises_to_first_order(name: str, case: str) -> None:
    each = golden(case)
    assert (
        float((each @ of(GRAMIAN[name], each)).min())
        > -1e-3 * float(each.norm()) ** 2 * (name == "UPGrad") - 1e-9
    )


ONE = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
AGREE = torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 2.0]], dtype=torch.float64)
ALL: dict[str, Aggregate] = {
    **GRAMIAN,
    "Mean": Mean(),
    "PCGrad": PCGrad(),
    "DWA": DWA(),
    "RandomWeights": RandomWeights(),
    "GradNorm": GradNorm(),
}


@pytest.mark.parametrize("copies", [1, 2, 5])
@pytest.mark.parametrize("name", ALL)
def test_copies_of_a_gradient_are_that_gradient(name: str, copies: int) -> None:
    """But CAGrad's, which adds its radius: (1 + c) g."""
    wanted = ONE[0] * (1.4 if name == "CAGrad" else 1.0)
    assert off(of(ALL[name], ONE.repeat(copies, 1)), wanted) < 1e-6


def test_published_values_for_two_that_agree() -> None:
    """UPGrad's is their mean; MGDA's the shortest vector; IMTL-G's has equal shadows on both."""
    assert off(of(UPGrad(), AGREE), AGREE.mean(0)) < 1e-12
    g, h = AGREE
    share = float((h @ (h - g)) / (g - h).norm() ** 2)
    assert off(of(MGDA(), AGREE), share * g + (1 - share) * h) < 1e-12
    shadows = AGREE @ of(IMTLG(), AGREE) / AGREE.norm(dim=1)
    assert float(shadows[0]) == pytest.approx(float(shadows[1]))
    assert torch.equal(of(CAGrad(0.0), AGREE), of(Mean(), AGREE)), "c = 0 is the mean"


def test_opposed_gradients_leave_nothing() -> None:
    opposed = torch.tensor([[1.0, 0.0, 0.0], [-3.0, 0.0, 0.0]], dtype=torch.float64)
    for name in ("MGDA", "PCGrad", "UPGrad"):
        assert float(of(ALL[name], opposed).norm()) < 1e-2, name
    assert float(of(CAGrad(0.4), opposed)[0]) == pytest.approx(-0.6), "the mean, less its radius"


@pytest.mark.parametrize("name", ALL)
def test_gradients_of_nothing_give_nothing_and_nan_gives_nan(name: str) -> None:
    assert float(of(ALL[name], torch.zeros(3, 4, dtype=torch.float64)).norm()) == 0
    bad = torch.randn(3, 4, dtype=torch.float64)
    bad[1, 2] = torch.nan
    assert not bool(of(ALL[name], bad).isfinite().all())


def test_loss_weights_by_hand() -> None:
    losses = torch.tensor([4.0, 0.5], dtype=torch.float64)
    weights, _ = Weighted((3.0, 1.0)).weigh(losses, {})
    assert weights.tolist() == [0.75, 0.25]
    uncertain = Uncertainty(SGD(0.1), (0.5, 1.0))
    weights, state = uncertain.weigh(losses, {})
    assert weights.tolist() == [0.25, 0.5]
    assert state["s"].tolist() == pytest.approx([0.1 * (2.0 - 0.5), 0.1 * (0.5 - 0.5)])
    _, state = IMTLL(SGD(0.1)).weigh(losses, {})
    assert state["s"].tolist() == pytest.approx([-0.3, 0.05])


def test_uncertainty_does_not_notice_the_unit() -> None:
    """In the end w_i L_i is alike whatever the unit: s solves f e^-s L = 1/2."""
    shares: list[float] = []
    for unit in (1.0, 100.0):
        losses, state = torch.tensor([2.0, 3.0 * unit], dtype=torch.float64), {}
        rule = Uncertainty(SGD(0.05))
        for _ in range(3000):
            weights, state = rule.weigh(losses, state)
        shares.append(float((weights * losses)[1]))
    assert shares[0] == pytest.approx(shares[1], rel=1e-2)


def test_helpers_count_where_they_agree_with_the_main_task() -> None:
    """One at a right angle and one against it leave the main gradient; one at 60 degrees is added."""
    main, aside, against = ([2.0, 0.0, 0.0], [0.0, 5.0, 0.0], [-1.0, 7.0, 0.0])
    along = [1.5, 0.0, 1.5 * math.sqrt(3)]
    each = torch.tensor([main, aside, against, along], dtype=torch.float64)
    assert torch.equal(of(HelperGate(), each), each[0] + each[3])
    assert off(of(HelperGate(0.5, "cosine"), each), each[0] + 0.5 * 0.5 * each[3]) < 1e-12
    assert torch.equal(of(HelperGate(0.0), each), each[0])
    assert torch.equal(of(HelperGate(), each[[1, 0, 2, 3]]), each[1] + each[2]), "the first is the main task"
    assert off(of(HelperGate(0.5), ONE.repeat(3, 1)), 2.0 * ONE[0]) < 1e-12
    torch.manual_seed(0)
    for _ in range(20):
        drawn = torch.randn(4, 5, dtype=torch.float64)
        assert float(of(HelperGate(), drawn) @ drawn[0]) >= float(drawn[0] @ drawn[0]) - 1e-9


def test_helpers_weight_falls_to_nothing() -> None:
    rule, state, seen = FallingHelpers(4, 0.5), {}, list[float]()
    for _ in range(6):
        weights, state = rule.weigh(torch.ones(3), state)
        assert weights[0] == 1.0
        assert weights[1] == weights[2]
        seen.append(float(weights[1]))
    assert seen == [0.5, 0.375, 0.25, 0.125, 0.0, 0.0]


def test_dwa_by_hand() -> None:
    rule, state = DWA(2, 2.0), {}
    seen = [[4.0, 1.0], [2.0, 1.0], [1.0, 1.0], [1.0, 1.0], [9.0, 9.0]]
    for losses in seen:
        weights, state = rule.weigh(torch.tensor(losses, dtype=torch.float64), state)
    wanted = torch.tensor([1.0 / 3.0, 1.0], dtype=torch.float64).div(2).softmax(0)
    assert torch.allclose(weights, wanted)
    assert torch.equal(DWA(2).weigh(torch.ones(2), {})[0], torch.full((2,), 0.5, dtype=torch.float64))


def test_grad_norm_by_hand() -> None:
    """Norms 1 and 3, no loss at its start moved: G = (1, 3), target 2 for both."""
    gradients = {"a": torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)}
    found, state = GradNorm(rate=0.1)(gradients, torch.tensor([1.0, 1.0], dtype=torch.float64), {})
    assert found["a"].tolist() == [0.5, 1.5]
    moved = torch.tensor([1.1, 0.7], dtype=torch.float64)
    assert torch.allclose(state["weights"], moved * 2 / moved.sum())


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Weighted((1.0, -1.0)), "weights is"),
        (lambda: Weighted((0.0,)), "weights is"),
        (lambda: HelperGate(-1.0), "weight is -1"),
        (lambda: FallingHelpers(0), "steps is 0"),
        (lambda: DWA(0), "epoch is 0"),
        (lambda: CAGrad(-1.0), "c is -1"),
        (lambda: GradNorm(-1.0), "alpha is -1"),
        (lambda: of(Weighted((1.0,)), AGREE), "1 numbers, and there are 2 losses"),
        (lambda: of(GradNorm(layer="head"), AGREE), "no shared weight"),
    ],
)
def test_what_cannot_be_is_one_line(made: Any, said: str) -> None:
    with pytest.raises(MetatlError, match=said):
        made()
