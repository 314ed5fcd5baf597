"""A first convolution for pictures of another number of channels."""

from __future__ import annotations

import torch
from torch import Tensor


def of_channels(weight: Tensor, channels: int) -> Tensor:
    """A first convolution [out, before, ...] for another number of channels, its output of the same size.

    For one channel the sum over the file's channels (grey is all three alike), else the channels in turn,
    times before / channels. The rule of timm.
    """
    before = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True)
    return weight[:, torch.arange(channels) % before] * (before / channels)


def in_channels(leaf: Tensor, like: Tensor) -> tuple[Tensor, str] | None:
    """A first convolution [out, in, h, w] for the channels of the net's (`of_channels`), and what is done."""
    if leaf.dim() != like.dim() or leaf.shape[:1] + leaf.shape[2:] != like.shape[:1] + like.shape[2:]:
        return None
    return of_channels(leaf, like.shape[1]), f"made for {like.shape[1]} channels out of {leaf.shape[1]}"
