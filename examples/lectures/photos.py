"""Digits on photos, as MNIST-M is made: |patch - digit|, of the two photos that come with scikit-learn."""

from __future__ import annotations

import torch
from sklearn.datasets import load_sample_images
from torch import Tensor


def on_photos(x: Tensor, seed: int = 0) -> Tensor:
    """x [n, 1, side, side] in 0 .. 1 -> [n, 3, side, side]: the difference from a patch of a photo."""
    photos = [torch.tensor(photo).permute(2, 0, 1) / 255.0 for photo in load_sample_images().images]
    generator, side, made = torch.Generator().manual_seed(seed), x.shape[-1], list[Tensor]()
    for one in x:
        which, *spots = torch.rand(3, generator=generator).tolist()
        photo = photos[int(2 * which)]
        top, left = (int(spot * (edge - side)) for spot, edge in zip(spots, photo.shape[1:], strict=True))
        made.append((photo[:, top : top + side, left : left + side] - one).abs())
    return torch.stack(made)
