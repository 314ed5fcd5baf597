"""Labelled rows in coordinates of their own span: fewer numbers, the same inner products."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from metatl.transferring.fit import Labelled


def in_span(draws: Sequence[Labelled]) -> list[Labelled]:
    """Draws with features [n, n] of the same inner products, where features [n, d] are more.

    X^T = Q R gives X = R^T Q^T, so that R^T are coordinates along the columns of Q; in float64 on the way.
    Draws whose features are not finite stay as they are.
    """
    found = list(draws)
    wide = [i for i, draw in enumerate(draws) if _is_wide(draw)]
    for shape in {draws[i].features.shape for i in wide}:  # columns that a draw holds constant are not there
        places = [i for i in wide if draws[i].features.shape == shape]
        rows = torch.stack([draws[i].features for i in places]).double()
        lower = torch.linalg.qr(rows.mT, mode="r").R.mT
        for i, features in zip(places, lower, strict=True):
            found[i] = replace(draws[i], features=features.to(draws[i].features.dtype))
    return found


def _is_wide(draw: Labelled) -> bool:
    n, width = draw.features.shape
    return 0 < n < width and bool(draw.features.isfinite().all())
