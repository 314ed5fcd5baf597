"""What is said of how sure an answer is does not depend on the units of inputs and targets."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from metatl import Batch, Descent, MetatlError, Net
from metatl.adapt import ClosedForm, Ensemble, PriorFitted
from metatl.adapt.solvers import (
    BayesianLastLayer,
    GaussianProcess,
    GeneralisedLinear,
    LinearDiscriminant,
    QuadraticDiscriminant,
    Solver,
)
from metatl.transferring.readout import head_net
from metatl.types import Episode

OF_VALUES: dict[str, Solver] = {
    "bayes": BayesianLastLayer(),
    "process": GaussianProcess(),
    "ridge": GeneralisedLinear(0.01),
}
OF_CLASSES: dict[str, Solver] = {
    "bayes": BayesianLastLayer(),
    "process": GaussianProcess(predictive=True),
    "linear": LinearDiscriminant(0.5),
    "quadratic": QuadraticDiscriminant(),
}


def drawn(rows: int = 60, columns: int = 5) -> tuple[Tensor, Tensor]:
    """Features, and two targets that are linear in them with noise of 0.1 and 3."""
    made = torch.Generator().manual_seed(0)
    x = torch.randn(rows, columns, generator=made, dtype=torch.float64)
    map_ = torch.randn(columns, 2, generator=made, dtype=torch.float64)
    noise = torch.randn(rows, 2, generator=made, dtype=torch.float64)
    return x, x @ map_ + noise * torch.tensor([0.1, 3.0])


def told(solver: Solver, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Means and variances of the second half of the rows."""
    fitted = solver.fit(x[:30], y[:30], 2)
    return solver.predict(fitted, x[30:]), solver.spread(fitted, x[30:])


@pytest.mark.parametrize("unit", [1e-12, 1e-6, 1e5])
@pytest.mark.parametrize("name", OF_VALUES)
def test_targets_in_another_unit_have_means_and_deviations_in_it(name: str, unit: float) -> None:
    x, y = drawn()
    (mean, spread), (found, wide) = (told(OF_VALUES[name], x, by * y) for by in (1.0, unit))
    torch.testing.assert_close(found / unit, mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(wide.sqrt() / unit, spread.sqrt(), rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("name", OF_VALUES)
def test_every_output_has_a_noise_and_a_mean_of_its_own(name: str) -> None:
    x, y = drawn()
    spread = told(OF_VALUES[name], x, y + torch.tensor([0.0, 500.0]))[1].mean(0)
    assert spread[1] / spread[0] > 5, "the second output has the more noise"
    torch.testing.assert_close(spread, told(OF_VALUES[name], x, y)[1].mean(0))


@pytest.mark.parametrize(("unit", "far"), [(1e-9, 0.0), (1e6, 0.0), (1e15, 0.0), (1.0, 1e3), (1.0, 1e4)])
@pytest.mark.parametrize("name", ["bayes", "process"])
def test_means_do_not_depend_on_where_features_lie(name: str, unit: float, far: float) -> None:
    x, y = drawn()
    mean, spread = told(OF_VALUES[name], x, y)
    found, wide = told(OF_VALUES[name], unit * x + far, y)
    torch.testing.assert_close(found, mean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(wide, spread, rtol=1e-4, atol=0.0)


@pytest.mark.parametrize(("unit", "far"), [(1e-9, 0.0), (1e15, 0.0), (1.0, 1e4)])
@pytest.mark.parametrize("name", OF_CLASSES)
def test_probabilities_do_not_depend_on_where_features_lie(name: str, unit: float, far: float) -> None:
    x, y = drawn()
    label, solver = (y[:, 0] > 0).long(), OF_CLASSES[name]
    shares = [
        solver.predict(solver.fit(at[:30], label[:30], 2), at[30:]).softmax(-1) for at in (x, unit * x + far)
    ]
    torch.testing.assert_close(shares[1], shares[0], rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("unit", [1e-30, 1e-9, 1e20, 1e30])
def test_the_little_net_reads_columns_of_any_unit(unit: float) -> None:
    x, y = drawn()
    label, x = (y[:, 0] > 0).long(), x.float()
    net, transfer = head_net(5, 2)
    found = [
        PriorFitted().answer(net, transfer, Episode(Batch(at[:30], label[:30]), Batch(at[30:])))
        for at in (x, unit * x)
    ]
    torch.testing.assert_close(found[1], found[0], rtol=1e-4, atol=1e-4)


def test_members_that_are_certain_of_labels_are_a_mean_that_is_finite() -> None:
    x, y = (part.float() for part in drawn())
    layer = nn.Linear(5, 2)
    with torch.no_grad():
        layer.weight.mul_(1e3)
    net = Net.of(nn.Sequential(nn.Tanh(), layer))
    inner, support = Descent(steps=0), Batch(x, y > 0)
    way, transfer = Ensemble(inner, members=3), net.start()
    found = way.predict(net, transfer, way.fit(net, transfer, support), support, x)
    one = inner.predict(net, transfer, inner.fit(net, transfer, support), support, x)
    assert one.abs().max() > 100
    torch.testing.assert_close(found, one)


def test_an_ensemble_without_a_row_says_so() -> None:
    x, _ = (part.float() for part in drawn())
    net = Net.of(nn.Sequential(nn.Tanh(), nn.Linear(5, 2)))
    for inner in (Descent(steps=1), ClosedForm(BayesianLastLayer())):
        with pytest.raises(MetatlError, match="no labelled row to learn from"):
            Ensemble(inner).fit(net, net.start(), Batch(x[:0], torch.zeros(0, dtype=torch.int64)))
