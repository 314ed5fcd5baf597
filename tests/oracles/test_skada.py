"""Alignments and density ratios beside skada's, whose numbers are kept (see domain_rows.py)."""

from __future__ import annotations

import json

import torch
from torch import Tensor

from metatl.alignments import CORAL, SubspaceAlignment, TwoDomains
from metatl.density_ratio import KMM
from metatl.types import Batch
from tests.oracles.domain_rows import FILE, GAMMA, MOST, ROWS, domains

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
