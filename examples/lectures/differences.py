"""Sources and targets that differ in one thing each, made of digits and of the photos of scikit-learn."""

from __future__ import annotations

from typing import NamedTuple

import torch
from sklearn.datasets import load_sample_images
from torch import Tensor

from examples.lectures.style import digits

ROWS = 200
"""Of each side."""


def on_photos(x: Tensor, seed: int = 0) -> Tensor:
    """x [n, 1, side, side] in 0 .. 1 -> [n, 3, side, side]: |patch of a photo - digit|, as MNIST-M."""
    photos = [torch.tensor(photo).permute(2, 0, 1) / 255.0 for photo in load_sample_images().images]
    generator, side, made = torch.Generator().manual_seed(seed), x.shape[-1], list[Tensor]()
    for one in x:
        which, *spots = torch.rand(3, generator=generator).tolist()
        photo = photos[int(2 * which)]
        top, left = (int(spot * (edge - side)) for spot, edge in zip(spots, photo.shape[1:], strict=True))
        made.append((photo[:, top : top + side, left : left + side] - one).abs())
    return torch.stack(made)


class Side(NamedTuple):
    """Inputs [n, ...], class indices [n] and the classes' names."""

    x: Tensor
    y: Tensor
    names: tuple[str, ...]


def pairs() -> dict[str, tuple[Side, Side]]:
    """Source and target for each difference."""
    x, y = digits(16)
    here, there = slice(5, ROWS + 5), slice(ROWS + 11, 2 * ROWS + 11)
    named, yes = tuple(map(str, range(10))), ("no", "yes")
    source, even = Side(x[here], y[here], named), (y[there] % 2 == 0).long()
    return {
        "X: pixels, and the ink of every column": (source, Side(x[there].sum(2), y[there], named)),
        "P(X): on paper, and on photos": (source, Side(on_photos(x[there]), y[there], named)),
        "Y: which digit, and odd or even": (source, Side(x[there], even, ("odd", "even"))),
        "P(Y | X): at least 5? and even?": (
            Side(x[here], (y[here] >= 5).long(), yes),
            Side(x[there], even, yes),
        ),
    }
