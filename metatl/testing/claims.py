"""Comparing, with a line that says what differs."""

from __future__ import annotations

import torch
from torch import Tensor

from metatl.types import Params, Transfer


def claim(true: bool, said: str) -> None:
    """Raise AssertionError with this line unless it is true."""
    if not true:
        raise AssertionError(said)


def close(found: Tensor, expected: Tensor, said: str, tolerance: float | None = None) -> None:
    """Claim equality up to a tolerance, by default that of rounding in passes of this type."""
    bound = tolerance or (1e-4 if torch.finfo(expected.dtype).eps > 1e-10 else 1e-8)
    gap = float((found - expected).abs().max()) if found.shape == expected.shape else float("inf")
    size = float(expected.abs().max())
    claim(gap <= bound * (1.0 + size), f"{said}: by {gap:.2g}, where the largest is {size:.2g}")


def same(found: Params, expected: Params, said: str, tolerance: float = 0.0) -> None:
    """Claim the same names and numbers, bit by bit without a tolerance."""
    claim(found.keys() == expected.keys(), f"{said}: other names")
    for name, leaf in expected.items():
        other = found[name]
        alike = other.shape == leaf.shape and torch.allclose(other, leaf, tolerance, tolerance, True)
        claim(alike, f"{said}: {name}")


def copies(transfer: Transfer) -> Params:
    """Every tensor that a transfer holds, by group and name."""
    groups = zip(("params", "guide", "buffers", "memory"), transfer.groups(), strict=True)
    return {f"{group}/{n}": leaf.detach().clone() for group, part in groups for n, leaf in part.items()}
