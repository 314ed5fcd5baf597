"""Solvers against their formulas by hand, and against scikit-learn where it is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn import functional as F

from metatl.adapt import (
    ClosedForm,
    LinearDiscriminant,
    LogisticRegression,
    NearestCentroid,
    QuadraticDiscriminant,
    RidgeRegression,
    SoftNeighbours,
    Solver,
)
from metatl.adapt.solvers import UnitLogistic, lbfgs, likeliest
from metatl.adapt.solvers.solver import ABSENT, Linear
from metatl.types import Batch, MetatlError
from tests.toys import WAY, toy_net, toy_task

SOLVERS = [
    NearestCentroid(),
    NearestCentroid(False, False),
    RidgeRegression(0.7),
    LogisticRegression(0.03),
    LogisticRegression(0.03, scaled=True),
    LinearDiscriminant(0.3),
    QuadraticDiscriminant(0.3, 0.5),
    SoftNeighbours(0.2),
    UnitLogistic(0.7),
]


def features(rows: int, width: int) -> tuple[Tensor, Tensor]:
    """Features far from zero and of unlike scales, with every class in turn."""
    x = torch.randn(rows, width, dtype=torch.float64)
    y = torch.arange(rows) % WAY
    return 5.0 + x * torch.logspace(-1, 1, width, dtype=torch.float64) + y[:, None], y


@pytest.mark.parametrize(("rows", "width"), [(40, 5), (7, 30)], ids=["primal", "dual"])
def test_ridge_solves_its_normal_equations(rows: int, width: int) -> None:
    x, y = features(rows, width)
    weight = torch.rand(rows, dtype=torch.float64)
    found = RidgeRegression(0.7).fit(x, y, WAY, weight)
    design = torch.cat([x, torch.ones(rows, 1, dtype=torch.float64)], 1)
    penalty = 0.7 * torch.eye(width + 1, dtype=torch.float64)
    penalty[-1, -1] = 0.0
    gram = design.T @ (weight[:, None] * design) + penalty
    solved = torch.linalg.solve(gram, design.T @ (weight[:, None] * F.one_hot(y, WAY).double()))
    torch.testing.assert_close(found.weight, solved[:-1].T, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(found.bias, solved[-1], rtol=1e-8, atol=1e-9)


def test_ridge_fits_real_targets() -> None:
    x, _ = features(50, 3)
    true = torch.randn(3, 2, dtype=torch.float64)
    solver = RidgeRegression(1e-9)
    found = solver.predict(solver.fit(x, x @ true + 4.0, 2), x)
    torch.testing.assert_close(found, x @ true + 4.0, rtol=1e-6, atol=1e-6)
    one = solver.fit(x, (x @ true)[:, 0], 1)
    torch.testing.assert_close(solver.predict(one, x)[:, 0], (x @ true)[:, 0], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("rows", "width"), [(40, 5), (9, 30)])
@pytest.mark.parametrize("l2", [1e-3, 0.3])
@pytest.mark.parametrize("scaled", [False, True])
def test_logistic_regression_is_scikit_learns(rows: int, width: int, l2: float, scaled: bool) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    x, y = features(rows, width)
    new, _ = features(20, width)
    weight = torch.rand(rows, dtype=torch.float64) + 0.1
    solver = LogisticRegression(l2, scaled)
    ours = solver.predict(solver.fit(x, y, WAY, weight), new).softmax(-1)
    if scaled:
        mean = (weight @ x) / weight.sum()
        deviation = ((weight @ (x - mean).square()) / weight.sum()).sqrt()
        x, new = (x - mean) / deviation, (new - mean) / deviation
    theirs = linear_model.LogisticRegression(C=1 / (l2 * float(weight.sum())), tol=1e-10, max_iter=20000)
    theirs.fit(x.numpy(), y.numpy(), sample_weight=weight.numpy())
    np.testing.assert_allclose(ours.numpy(), theirs.predict_proba(new.numpy()), atol=1e-4)


@pytest.mark.parametrize("width", [4, 60])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize(("small", "least"), [(400, 1e-12), (0, 1e-6)])
def test_logistic_regression_is_at_the_minimum(
    width: int, scale: float, small: int, least: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likeliest, "SMALL", small)
    x, y = features(24, width)
    found = LogisticRegression(0.02).fit(scale * x, y, WAY)
    weight, bias = (value.clone().requires_grad_() for value in found)
    loss = F.cross_entropy(F.linear(scale * x, weight, bias), y) + 0.01 * weight.square().sum()
    for gradient in torch.autograd.grad(loss, (weight, bias)):
        assert gradient.abs().max() < least * max(1.0, scale)


def test_logistic_regressions_side_by_side_are_each_alone() -> None:
    problems = [features(12, 30) for _ in range(5)]
    x, y = (torch.stack(column) for column in zip(*problems, strict=True))
    x[1, -1] = x[1, 0]
    y[2, y[2] == 0] = 1  # a class without a row
    weight = torch.rand(5, 12, dtype=torch.float64)
    weight[3, 4] = 0.0
    solver = LogisticRegression(0.02)

    def one_of(x: Tensor, y: Tensor, weight: Tensor | None = None) -> Linear:
        return solver.fit(x, y, WAY, weight)

    together, shared = vmap(one_of)(x, y, weight), vmap(one_of, (None, 0))(x[0], y[:2])
    for i in range(5):
        alone = solver.fit(x[i], y[i], WAY, weight[i])
        for one, other in zip(alone, together, strict=True):
            torch.testing.assert_close(one, other[i], rtol=0, atol=1e-10)
    for i in range(2):
        torch.testing.assert_close(shared.weight[i], solver.fit(x[0], y[i], WAY).weight, rtol=0, atol=1e-10)
    assert together.bias[2, 0] == ABSENT


@pytest.mark.parametrize("rows", [2, 12, 59, 60, 61])
@pytest.mark.parametrize("twins", [False, True])
def test_logistic_regression_in_the_span_of_its_rows_is_the_same(
    rows: int, twins: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = features(rows, 60)
    if twins:
        x[-1] = x[0]
    weight = torch.rand(rows, dtype=torch.float64) + 0.1
    if rows > 2:
        weight[rows // 2] = 0.0
    found = LogisticRegression(0.02).fit(x, y, WAY, weight)
    seen: list[int] = []
    real = lbfgs.lowest

    def lowest(loss: Any, size: int, iterations: int) -> Any:
        seen.append(size)
        return real(loss, size, iterations)

    monkeypatch.setattr(lbfgs, "lowest", lowest)
    monkeypatch.setattr(likeliest, "SMALL", 0)
    LogisticRegression(0.02).fit(x, y, WAY, weight)
    monkeypatch.setattr(lbfgs, "NEARLY", 2.0)
    whole = LogisticRegression(0.02).fit(x, y, WAY, weight)
    assert seen[0] < seen[1] or twins or rows > 60
    for one, other in zip(found, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("centred", [True, False])
@pytest.mark.parametrize("unit", [True, False])
def test_nearest_centroid_by_hand(centred: bool, unit: bool) -> None:
    x, y = features(12, 6)
    new, _ = features(5, 6)
    shift = x.numpy().mean(0) if centred else np.zeros(6)

    def prepared(rows: np.ndarray) -> np.ndarray:
        rows = rows - shift
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if unit else rows

    means = np.stack([prepared(x.numpy())[y.numpy() == k].mean(0) for k in range(WAY)])
    expected = -((prepared(new.numpy())[:, None] - means) ** 2).sum(-1) / 3.0
    solver = NearestCentroid(centred, unit, 3.0)
    np.testing.assert_allclose(solver.predict(solver.fit(x, y, WAY), new).numpy(), expected, rtol=1e-10)


@pytest.mark.parametrize(("rows", "width"), [(40, 5), (9, 30)], ids=["primal", "dual"])
@pytest.mark.parametrize("shrinkage", [0.05, 0.6, 1.0])
def test_linear_discriminant_is_scikit_learns(rows: int, width: int, shrinkage: float) -> None:
    discriminant = pytest.importorskip("sklearn.discriminant_analysis")
    (x, y), (new, _) = features(rows, width), features(20, width)
    keep = torch.arange(rows) != 3  # unequal shares
    x, y = x[keep], y[keep]
    solver = LinearDiscriminant(shrinkage)
    ours = solver.predict(solver.fit(x, y, WAY), new)
    theirs = discriminant.LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    expected = torch.from_numpy(theirs.fit(x.numpy(), y.numpy()).decision_function(new.numpy()))
    torch.testing.assert_close(ours.log_softmax(-1), expected.log_softmax(-1), rtol=1e-6, atol=1e-6)


def test_linear_discriminant_of_one_row_a_class_is_the_nearest_mean() -> None:
    (x, y), (new, _) = features(WAY, 6), features(50, 6)
    solver = LinearDiscriminant(0.3)
    found = solver.predict(solver.fit(x, y, WAY), new)
    variance = (x - x.mean(0)).square().sum() / (WAY * 6)
    expected = -torch.cdist(new, x).square() / (2 * variance)
    torch.testing.assert_close(found.log_softmax(-1), expected.log_softmax(-1), rtol=1e-7, atol=1e-7)


def test_quadratic_discriminant_is_scipys_normal_with_scikit_learns_shrunk_covariance() -> None:
    covariance, stats = pytest.importorskip("sklearn.covariance"), pytest.importorskip("scipy.stats")
    (x, y), (new, _) = features(41, 4), features(20, 4)
    solver, expected = QuadraticDiscriminant(0.2, 0.0), list[Any]()
    for label in range(WAY):
        own = x[y == label].numpy()
        shrunk = covariance.shrunk_covariance(covariance.empirical_covariance(own), 0.2)
        log_p = stats.multivariate_normal(own.mean(0), shrunk).logpdf(new.numpy())
        expected.append(torch.from_numpy(log_p + np.log(len(own) / len(x))))
    found = solver.predict(solver.fit(x, y, WAY), new)
    posterior = torch.stack(expected, 1).log_softmax(-1)
    torch.testing.assert_close(found.log_softmax(-1), posterior, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize(("rows", "width"), [(40, 5), (7, 30)])
def test_pooled_quadratic_discriminant_is_the_linear_one(rows: int, width: int) -> None:
    (x, y), (new, _) = features(rows, width), features(20, width)
    linear, pooled = LinearDiscriminant(0.3), QuadraticDiscriminant(0.3, 1.0)
    found = pooled.predict(pooled.fit(x, y, WAY), new).log_softmax(-1)
    expected = linear.predict(linear.fit(x, y, WAY), new).log_softmax(-1)
    torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-7)


def test_quadratic_discriminant_of_equal_rows_is_finite_and_bad_values_are_one_line() -> None:
    x, y = features(6, 3)
    solver = QuadraticDiscriminant(0.3, 0.0)
    fitted = solver.fit(torch.cat([x[:1]] * 4 + [x]), torch.cat([y[:1]] * 4 + [y]), WAY)
    assert solver.predict(fitted, x).isfinite().all()
    with pytest.raises(MetatlError, match="shrinkage is 0"):
        QuadraticDiscriminant(0.0)


def test_soft_neighbours_by_hand() -> None:
    (x, y), (new, _) = features(12, 6), features(5, 6)
    a, b = x.numpy() - x.numpy().mean(0), new.numpy() - x.numpy().mean(0)
    cosine = (b @ a.T) / np.linalg.norm(b, axis=1)[:, None] / np.linalg.norm(a, axis=1)
    votes = np.stack([np.exp(cosine[:, y.numpy() == k] / 0.2).sum(1) for k in range(WAY)], 1)
    solver = SoftNeighbours(0.2)
    np.testing.assert_allclose(solver.predict(solver.fit(x, y, WAY), new).numpy(), np.log(votes), rtol=1e-9)
    sharp = SoftNeighbours(1e-5)
    nearest = y[torch.from_numpy(cosine.argmax(1))]
    assert torch.equal(sharp.predict(sharp.fit(x, y, WAY), new).argmax(-1), nearest)


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_weights_count_rows(solver: Solver) -> None:
    x, y = features(12, 4)
    new, _ = features(9, 4)
    copies = torch.tensor([0, 1, 2, 3, 1, 1, 0, 2, 1, 1, 1, 4])
    weighted = solver.predict(solver.fit(x, y, WAY, copies.double()), new)
    repeated = solver.fit(x.repeat_interleave(copies, 0), y.repeat_interleave(copies), WAY)
    torch.testing.assert_close(weighted, solver.predict(repeated, new), rtol=1e-6, atol=1e-6)
    assert not torch.allclose(weighted, solver.predict(solver.fit(x, y, WAY), new), atol=1e-3)


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_a_class_without_a_row_is_finite_and_never_chosen(solver: Solver) -> None:
    x, y = features(12, 4)
    output = solver.predict(solver.fit(x, y, WAY + 1), 1000 * x)
    assert output.isfinite().all()
    assert output.log_softmax(-1).isfinite().all()
    if not isinstance(solver, RidgeRegression):
        assert (output.argmax(-1) != WAY).all()
        known = solver.predict(solver.fit(x, y, WAY), x)
        torch.testing.assert_close(solver.predict(solver.fit(x, y, WAY + 1), x)[:, :WAY], known)


@pytest.mark.parametrize("solver", [s for s in SOLVERS if s.batched], ids=repr)
def test_many_tasks_at_once_are_each_task_alone(solver: Solver) -> None:
    tasks = [features(6, 4) for _ in range(4)]
    x, y = (torch.stack(part) for part in zip(*tasks, strict=True))
    found = torch.func.vmap(lambda a, b: solver.predict(solver.fit(a, b, WAY), a))(x, y)
    for i, (a, b) in enumerate(tasks):
        torch.testing.assert_close(found[i], solver.predict(solver.fit(a, b, WAY), a), rtol=1e-9, atol=1e-9)


def test_prototypes_are_a_softmax_of_negative_squared_distances() -> None:
    net, task = toy_net(norm=True), toy_task(9, 12)
    start, adaptation = net.start(), ClosedForm(NearestCentroid(False, False))
    found = adaptation.predict(
        net, start, adaptation.fit(net, start, task.support), task.support, task.query.x
    )
    p, b = start.params, start.buffers

    def body(x: Tensor) -> Tensor:
        x = F.linear(x, p["body.0.weight"], p["body.0.bias"])
        x = (x - b["body.1.running_mean"]) / (b["body.1.running_var"] + 1e-5).sqrt()
        return torch.tanh(x * p["body.1.weight"] + p["body.1.bias"])

    z, queries = body(task.support.x), body(task.query.x)
    centres = torch.stack([z[task.support.y == c].mean(0) for c in range(WAY)])
    torch.testing.assert_close(found, -torch.cdist(queries, centres).square(), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_it_works_where_torch_records_nothing_and_in_half_precision(solver: Solver) -> None:
    x, y = features(12, 4)
    plain = solver.predict(solver.fit(x, y, WAY), x)
    with torch.inference_mode():
        torch.testing.assert_close(solver.predict(solver.fit(x, y, WAY), x), plain)
    half = solver.fit(x.bfloat16(), y, WAY)
    assert half[0].dtype == torch.float32
    assert solver.predict(half, x.bfloat16()).isfinite().all()


def test_what_does_not_belong_together_is_one_line() -> None:
    x, y = features(6, 4)
    for solver in SOLVERS:
        for wrong in [(x, y[:5]), (x[:, :, None], y), (x[:0], y[:0]), (x, y[:, None])]:
            with pytest.raises(MetatlError):
                solver.fit(*wrong, WAY)
        with pytest.raises(MetatlError, match="weight"):
            solver.fit(x, y, WAY, torch.ones(5))
    for solver in (NearestCentroid(), LogisticRegression(), LinearDiscriminant(), SoftNeighbours()):
        with pytest.raises(MetatlError, match="class labels"):
            solver.fit(x, y.double(), 1)
    with pytest.raises(MetatlError, match="finite"):
        LogisticRegression().fit(x * float("nan"), y, WAY)
    for bad in (
        lambda: NearestCentroid(temperature=0.0),
        lambda: RidgeRegression(0.0),
        lambda: LinearDiscriminant(0.0),
        lambda: LinearDiscriminant(1.1),
        lambda: SoftNeighbours(0.0),
        lambda: LogisticRegression(-1.0),
        lambda: ClosedForm(moments="none"),  # type: ignore[arg-type]
    ):
        with pytest.raises(MetatlError):
            bad()


def test_row_weights_of_a_batch_reach_the_solver() -> None:
    net, task = toy_net(), toy_task(6, 3)
    start, adaptation = net.start(), ClosedForm(RidgeRegression())
    kept = torch.tensor([1.0, 1, 1, 1, 0, 0], dtype=torch.float64)
    found = adaptation.fit(net, start, task.support._replace(weight=kept))
    expected = adaptation.fit(net, start, Batch(task.support.x[:4], task.support.y[:4]))
    torch.testing.assert_close(found.weight, expected.weight)
