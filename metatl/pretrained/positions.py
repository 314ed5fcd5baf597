"""Positions that were learned for pictures of another size."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from torch import Tensor, nn

from metatl.pretrained import vision
from metatl.weights.fitting import Remade

_NAME = "pos_embed"


def remade(module: nn.Module) -> dict[str, Remade]:
    """How a file's positions are made to fit a transformer of timm that reads pictures of another size.

    The grid of positions is resampled (bicubic, antialiased), those of the class token stay: timm's rule.
    Empty for all other nets.
    """
    grid: Any = getattr(getattr(module, "patch_embed", None), "grid_size", None)
    prefix: Any = getattr(module, "num_prefix_tokens", None)
    if not isinstance(grid, tuple) or not isinstance(prefix, int) or _NAME not in module.state_dict():
        return {}
    tokens = 0 if getattr(module, "no_embed_class", False) else prefix
    return {_NAME: partial(_resampled, grid=grid, tokens=tokens)}


def _resampled(leaf: Tensor, like: Tensor, grid: tuple[int, int], tokens: int) -> tuple[Tensor, str] | None:
    if leaf.dim() != 3 or leaf.shape[::2] != like.shape[::2] or leaf.shape[1] <= tokens:
        return None
    side = math.isqrt(leaf.shape[1] - tokens)
    if side**2 != leaf.shape[1] - tokens:
        return None
    new = vision.timm().layers.resample_abs_pos_embed(leaf, list(grid), num_prefix_tokens=tokens)
    return new, f"resampled from {side} x {side} positions to {grid[0]} x {grid[1]}"
