"""Alignments and density ratios beside skada's, whose numbers are kept (see domain_rows.py)."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor

from metatl.alignments import CORAL, SubspaceAlignment, TransferComponents, TwoDomains
from metatl.density_ratio import KLIEP, KMM
from metatl.types import Batch
from tests.oracles.domain_rows import FILE, GAMMA, MOST, MU, ROWS, domains

WIDTH = (2 * GAMMA) ** -0.5


def kept(name: str) -> Tensor:
    return torch.tensor(json.loads(FILE.read_text())[name], dtype=torch.float64)


def both() -> tuple[Tensor, Tensor]:
    source, target = domains()
    return torch.from_numpy(source), torch.from_numpy(target)


def test_coral_is_that_of_skada_which_centres_the_target_too() -> None:
    source, target = both()
    found = CORAL(0.0).recoloured(source, target) - target.mean(0)
    torch.testing.assert_close(found, kept("coral"), atol=1e-6, rtol=1e-6)


def test_subspace_alignment_is_that_of_skada_but_for_signs() -> None:
    source, target = both()
    nothing = Batch(source[:0], torch.zeros(0, dtype=torch.int64))
    rows, fitted = SubspaceAlignment(2).fit(
        TwoDomains(Batch(source, torch.zeros(ROWS).long()), nothing, target)
    )
    found = torch.cat([rows.x, SubspaceAlignment(2).target(fitted, target)])
    signs = (found * kept("subspace")).sum(0).sign()
    torch.testing.assert_close(found * signs, kept("subspace"), atol=1e-6, rtol=1e-6)


def test_kernel_mean_matching_is_no_worse_than_that_of_skada_and_near_it() -> None:
    source, target = both()
    kernel = torch.exp(-GAMMA * torch.cdist(source, source).square())
    wanted = torch.exp(-GAMMA * torch.cdist(source, target).square()).mean(1) * ROWS

    def value(weight: Tensor) -> float:
        return float(weight @ kernel @ weight / 2 - wanted @ weight)

    found = KMM(WIDTH, MOST, 20000).matched(source, target)
    assert value(found) <= value(kept("kmm")) + 1e-6
    torch.testing.assert_close(found, kept("kmm"), atol=0.05, rtol=0.0)


def test_transfer_components_are_no_worse_than_those_of_skada() -> None:
    """Of what is maximised, tr (V'(KLK + I / mu)V)^-1 V'KHKV: ours is the sum of the two largest values.

    skada's mu stands before KLK, and its solver of symmetric matrices is given one that is not.
    """
    source, target = both()
    rows = torch.cat([source, target])
    kernel = torch.exp(-torch.cdist(rows, rows).square() / 3)  # its gamma is 1 / columns
    e = torch.cat([torch.full((ROWS,), 1 / ROWS), torch.full((ROWS,), -1 / ROWS)]).double()
    spread = kernel @ (kernel - kernel.mean(0))
    held = torch.outer(kernel @ e, kernel @ e) + torch.eye(2 * ROWS).double() / MU

    def value(v: Tensor) -> float:
        return float(torch.linalg.solve(v.T @ held @ v, v.T @ spread @ v).trace())

    nothing = Batch(source[:0], torch.zeros(0, dtype=torch.int64))
    way = TransferComponents(2, 1 / MU, 1.5**0.5)
    _, (_, _, found) = way.fit(TwoDomains(Batch(source, torch.zeros(ROWS).long()), nothing, target))
    largest = torch.linalg.eigvals(torch.linalg.solve(held, spread)).real.sort(descending=True).values[:2]
    assert value(found) == pytest.approx(float(largest.sum()), rel=1e-6)
    assert value(found) >= value(kept("tca")) - 1e-9


def test_kliep_has_no_smaller_a_likelihood_than_that_of_skada() -> None:
    """Over the centres that skada drew, some of them twice; its steps are as small as float64's epsilon."""
    source, target = both()
    alpha, centres = kept("kliep"), kept("kliep_centres")
    s, t = (torch.exp(-GAMMA * torch.cdist(x, centres).square()) for x in (source, target))
    assert float((s @ alpha).mean()) == pytest.approx(1.0, abs=1e-6)
    found = KLIEP(WIDTH, len(centres), 20000).coefficients(s, t)
    assert float((s @ found).mean()) == pytest.approx(1.0, abs=1e-6)
    assert float((t @ found).log().mean()) >= float((t @ alpha).log().mean())
