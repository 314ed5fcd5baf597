"""Equations with a positive definite matrix: numpy's solution, for any number of threads and any batch."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import metatl
from metatl import positive

BY_TWO_THREADS = """
import torch
from metatl.adapt.solvers import LinearDiscriminant, RidgeRegression
torch.set_num_threads(2)
x = torch.randn(20, 240, 300, generator=torch.Generator().manual_seed(0))
y = torch.arange(240) % 3
for solver in (RidgeRegression(), LinearDiscriminant()):
    fit = lambda rows: solver.fit(rows, y, 3)
    for value, one in zip(torch.vmap(fit)(x), zip(*map(fit, x))):
        torch.testing.assert_close(value, torch.stack(one), rtol=1e-4, atol=1e-5)
print("equal")
"""
"""Of pytorch's issue 142815: a batch of matrices larger than 150 x 150 and two threads."""


def matrices(batch: int, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    rows = torch.randn(batch, size, size + 5, generator=torch.Generator().manual_seed(size)).double()
    return rows @ rows.mT, rows[..., :3]


@pytest.mark.parametrize("size", [1, 2, 17, 200])
def test_the_solution_is_numpys(size: int) -> None:
    a, b = matrices(4, size)
    wanted = torch.from_numpy(np.linalg.solve(a.numpy(), b.numpy()))
    torch.testing.assert_close(positive.solve(a, b), wanted, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(torch.vmap(positive.solve)(a, b), wanted, rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(positive.solve(a[0], b[0, :, 0]), wanted[0, :, 0], rtol=1e-8, atol=1e-10)


def test_a_batch_is_solved_by_two_threads() -> None:
    words = [sys.executable, "-c", BY_TWO_THREADS]
    done = subprocess.run(words, capture_output=True, check=False, text=True, timeout=100)
    assert done.stdout == "equal\n", done.stderr
    assert "ERROR" not in done.stderr


def test_two_derivatives() -> None:
    a, b = matrices(1, 4)

    def solved(rows: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return positive.solve(rows @ rows.T + torch.eye(4).double(), target)

    given = (a[0].requires_grad_(), b[0].clone().requires_grad_())
    assert torch.autograd.gradcheck(solved, given)
    assert torch.autograd.gradgradcheck(solved, given)


def test_what_rounding_leaves_without_a_factor() -> None:
    """A row of a batch that has no factor changes no other, and is solved up to rounding."""
    column = torch.linspace(1, 2, 6).double().unsqueeze(-1)
    flat = column @ column.T - 1e-17 * torch.eye(6).double()
    good = torch.diag(torch.arange(1.0, 7.0)).double()
    a, b = torch.stack([flat, good, torch.full_like(good, torch.nan)]), column.expand(3, 6, 1)
    found = positive.solve(a, b)
    torch.testing.assert_close(flat @ found[0], column, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(found[1], column / good.diagonal().unsqueeze(-1))
    assert found[2].isnan().all()


def test_nothing_else_solves_a_batch_by_lu() -> None:
    banned = re.compile(r"torch\.(linalg\.)?(solve|inv|inverse|det|slogdet|lu\w*|tensorsolve|tensorinv)\(")
    sources = Path(metatl.__file__).parent.rglob("*.py")
    assert [path.name for path in sources if banned.search(path.read_text())] == []
