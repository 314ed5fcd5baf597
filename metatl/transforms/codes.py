"""Numbers as codes of a table, block by block: 4-bit normal floats, 8-bit integers, 8-bit dynamic floats."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F


@cache
def nf4() -> Tensor:
    """The values [16] of NF4: quantiles of a normal distribution, 0, and the largest as 1.

    Source: Dettmers et al. 2023, arXiv 2305.14314, with the offset of their code.
    """
    edge = ((1 - 1 / 30) + (1 - 1 / 32)) / 2
    above = torch.special.ndtri(torch.linspace(edge, 0.5, 9, dtype=torch.float64)[:-1])
    below = -torch.special.ndtri(torch.linspace(edge, 0.5, 8, dtype=torch.float64)[:-1])
    values = torch.cat([below, torch.zeros(1, dtype=torch.float64), above]).sort().values
    return values / values.max()


@cache
def int8() -> Tensor:
    """-127 / 127 to 127 / 127 in 255 steps of 1 / 127, [values]."""
    return torch.arange(-127, 128, dtype=torch.float64) / 127


@cache
def dynamic() -> Tensor:
    """256 values: in 7 decades up to 1 the middles of 1, 2, 4, ... 64 equal parts, both signs; 0 and 1.

    Source: Dettmers 2016, arXiv 1511.04561.
    """
    values = [torch.tensor([0.0, 1.0], dtype=torch.float64)]
    for decade in range(7):
        edges = torch.linspace(0.1, 1, 2**decade + 1, dtype=torch.float64)
        middles = (edges[:-1] + edges[1:]) / 2 * 10.0 ** (decade - 6)
        values += [middles, -middles]
    return torch.cat(values).sort().values


def coded(x: Tensor, table: Tensor, block: int) -> tuple[Tensor, Tensor]:
    """The nearest codes [blocks * block] of x over the largest magnitude of its block, and those [blocks].

    x is taken flat and filled up with zeros to whole blocks.
    """
    flat = F.pad(x.flatten(), (0, -x.numel() % block)).view(-1, block)
    largest = flat.abs().amax(1)
    table = table.to(flat)
    shares = flat / largest.clamp_min(torch.finfo(flat.dtype).tiny)[:, None]
    codes = torch.bucketize(shares, (table[1:] + table[:-1]) / 2)
    return codes.to(torch.uint8).flatten(), largest


def decoded(codes: Tensor, largest: Tensor, table: Tensor) -> Tensor:
    """The numbers that codes stand for, [blocks * block]."""
    values = table.to(largest)[codes.long()]
    return (values.view(len(largest), -1) * largest[:, None]).flatten()


def packed(codes: Tensor) -> Tensor:
    """Codes [n] of 4 bits, two in a byte, the first in its upper half; an odd n gets a 0 at its end."""
    codes = F.pad(codes, (0, len(codes) % 2))
    return codes[::2] * 16 + codes[1::2]


def unpacked(held: Tensor) -> Tensor:
    """Codes [2 * n] of 4 bits from bytes [n]."""
    return torch.stack([held // 16, held % 16], 1).flatten()
