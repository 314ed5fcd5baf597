"""Every form of the output layer's covariance against the inverse Hessian, where that can be computed."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from metatl.adapt import ClosedForm, Laplace, LogisticRegression, head_net
from metatl.adapt.layer_covariance import by_numbers, by_rows, kronecker, variance
from metatl.testing import check_adaptation
from metatl.transferring.readout import fit_readout, readout_of
from metatl.types import Batch, MetatlError
from tests.toys import toy_net, toy_tasks

WIDTH, CLASSES, PRECISION = 5, 3, 0.7


def problem(n: int, same: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Rows with a 1, roots R_i with w_i L_i = R_i R_i^T, weights; same: one L for all rows."""
    generator = torch.Generator().manual_seed(n)
    rows = torch.randn(n, WIDTH + 1, generator=generator, dtype=torch.float64)
    rows[:, -1] = 1
    chance = (2 * torch.randn(1 if same else n, CLASSES, generator=generator).double()).softmax(-1)
    weight = torch.rand(n, generator=generator).double() + 0.2
    half = chance.expand(n, -1).sqrt()
    root = torch.diag_embed(half) - chance[:, :, None] * half[:, None]
    return rows, root * weight.sqrt()[:, None, None], weight


def inverse_hessian(rows: Tensor, root: Tensor, new: Tensor) -> Tensor:
    """f^T [H^-1]_cc f from the whole matrix, Kronecker product by Kronecker product."""
    hessian = PRECISION * torch.eye(CLASSES * (WIDTH + 1)).double()
    for f, r in zip(rows, root, strict=True):
        hessian += torch.kron(r @ r.T, torch.outer(f, f))
    inverse = torch.linalg.inv(hessian).reshape(CLASSES, WIDTH + 1, CLASSES, WIDTH + 1)
    return torch.stack([((new @ inverse[c, :, c]) * new).sum(-1) for c in range(CLASSES)], -1)


@pytest.mark.parametrize("n", [2, 4, 30])
def test_rows_and_numbers_give_the_inverse_hessian(n: int) -> None:
    rows, root, _ = problem(n)
    new = torch.randn(7, WIDTH + 1, dtype=torch.float64)
    wanted = inverse_hessian(rows, root, new)
    for form in (by_rows, by_numbers):
        torch.testing.assert_close(variance(form(rows, root)(PRECISION), new, PRECISION), wanted)


@pytest.mark.parametrize("n", [2, 4, 30])
def test_kronecker_is_the_inverse_hessian_where_rows_are_alike_unsure(n: int) -> None:
    """Fewer rows than columns too: what no row has seen keeps the prior's variance."""
    rows, root, weight = problem(n, same=True)
    new = torch.randn(7, WIDTH + 1, dtype=torch.float64)
    found = variance(kronecker(rows, root, weight)(PRECISION), new, PRECISION)
    torch.testing.assert_close(found, inverse_hessian(rows, root, new))


def test_kronecker_is_its_own_formula_otherwise() -> None:
    """And not the Hessian: an approximation that could not be told from it would not be tested."""
    rows, root, weight = problem(9)
    a, b = (rows.T * weight) @ rows, (root @ root.mT).sum(0) / weight.sum()
    whole = torch.kron(b, a) + PRECISION * torch.eye(CLASSES * (WIDTH + 1)).double()
    inverse = torch.linalg.inv(whole).reshape(CLASSES, WIDTH + 1, CLASSES, WIDTH + 1)
    new = torch.randn(7, WIDTH + 1, dtype=torch.float64)
    wanted = torch.stack([((new @ inverse[c, :, c]) * new).sum(-1) for c in range(CLASSES)], -1)
    found = variance(kronecker(rows, root, weight)(PRECISION), new, PRECISION)
    torch.testing.assert_close(found, wanted)
    assert float((found / inverse_hessian(rows, root, new) - 1).abs().max()) > 0.01


def test_the_kronecker_form_keeps_the_laws() -> None:
    net = toy_net(norm=True)
    way = Laplace(ClosedForm(LogisticRegression()), covariance="kronecker")
    check_adaptation(way, net, net.start(), toy_tasks(3), 1e-4)


def test_a_large_head_is_answered_saved_and_read() -> None:
    """1,280 features and ten classes, by 700 rows: 7,000 equations or 12,810 numbers."""
    torch.manual_seed(0)
    y = torch.arange(700) % 10
    x = torch.randn(700, 1280) / 30 + torch.eye(10, 1280)[y]
    way = Laplace(ClosedForm(LogisticRegression(0.1)))
    made, new = fit_readout(way, Batch(x, y), 10), torch.randn(6, 1280)
    said = made(new)
    assert said.isfinite().all()
    net, transfer = head_net(1280, 10)
    inner = way.adaptation.predict(net, transfer, made.fitted.fitted, Batch(x[:0], y[:0]), new)
    assert (said.softmax(-1).amax(-1) < inner.softmax(-1).amax(-1)).all()
    described = {
        "class_path": "Laplace",
        "init_args": {
            "adaptation": {
                "class_path": "ClosedForm",
                "init_args": {"solver": {"class_path": "metatl.adapt.solvers.LogisticRegression"}},
            }
        },
    }
    leaves = [made.get_buffer(f"fitted_{i}") for i in range(made.count)]
    assert torch.equal(readout_of(described, 1280, 10, leaves)(new), said)


def test_forms_are_taken_by_their_size_and_refused_by_name() -> None:
    with pytest.raises(MetatlError, match="give auto, full or kronecker"):
        Laplace(covariance="diagonal")  # pyright: ignore[reportArgumentType]
    way = Laplace(ClosedForm(LogisticRegression()))
    for rows, numbers in ((2, False), (40, True)):
        y = torch.arange(rows) % 2
        net, transfer = head_net(3, 2)
        found = way.fit(net, transfer, Batch(torch.randn(rows, 3), y)).covariance
        assert (found.factor.dim() == 3) == numbers
        assert math.isfinite(float(found.factor.sum()))
