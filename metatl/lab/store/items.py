"""Tensors as the bytes of their entries, and those bytes in little room."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl import tree

Items = NDArray[np.uint8]
"""[entries, bytes an entry]."""


def items(leaf: Tensor) -> Items:
    """The bytes of a tensor's entries."""
    return tree.bits(leaf.cpu()).numpy().reshape(leaf.numel(), leaf.element_size())


def flipped(leaf: Tensor, where: NDArray[np.int64], flips: Items) -> Tensor:
    """The tensor with the bits in `flips` [n, bytes an entry] changed at the entries `where` [n]."""
    changed = items(leaf).copy()
    changed[where] ^= flips
    return torch.from_numpy(changed.reshape(-1)).view(leaf.dtype).view(leaf.shape).to(leaf.device)


def squeezed(pieces: Sequence[Items]) -> bytes:
    """Byte 0 of every entry, then byte 1, ...: those that small changes leave alone are 0, and deflate."""
    plain = np.concatenate(pieces).T.tobytes()
    small = zlib.compress(plain, 9)
    return small if len(small) < len(plain) else plain


def unsqueezed(plain: bytes, width: int, count: int) -> Items:
    """The `count` entries of `width` bytes that were squeezed; raises ValueError for other bytes."""
    if len(plain) < count * width:
        plain = zlib.decompressobj().decompress(plain, count * width + 1)
    if len(plain) != count * width:
        raise ValueError(f"not {count} entries of {width} bytes")
    return np.frombuffer(plain, np.uint8).reshape(width, count).T


def stored(content: bytes) -> Tensor:
    """Bytes as a uint8 tensor."""
    return torch.from_numpy(np.frombuffer(content, np.uint8).copy())


def constant(leaf: Tensor) -> bool:
    """Whether all entries hold the same bits."""
    held = items(leaf)
    return len(held) > 0 and bool((held == held[0]).all())
