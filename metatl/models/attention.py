"""Attention of rows that are asked to rows that are known."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SupportAttention(nn.Module):
    """Attention to the support tokens, then a hidden layer, each added to what came in; norms before both."""

    def __init__(self, width: int, heads: int, likeness: float) -> None:
        super().__init__()
        self.heads = heads
        self.asks, self.tells = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.mixes, self.wide, self.narrow = (
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(2 * width, width),
        )
        self.first = nn.LayerNorm(width, elementwise_affine=False)
        self.second = nn.LayerNorm(width, elementwise_affine=False)
        if likeness > 0:
            with torch.no_grad():
                self.tells.weight[:width] = nn.init.orthogonal_(self.asks.weight, likeness)
                self.tells.bias[:width] = nn.init.zeros_(self.asks.bias)

    def forward(self, rows: Tensor, asked: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """rows [m, width], asked [n, width]; bias [m]: of the attention to each of the rows."""
        both, count = torch.cat([rows, asked]), rows.shape[0]
        normed = self.first(both)
        key, value = self.tells(normed[:count]).chunk(2, -1)
        query, key, value = (self._apart(part) for part in (self.asks(normed), key, value))
        near = (query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + bias).softmax(-1)
        both = both + self.mixes((near @ value).transpose(0, 1).flatten(1))
        both = both + self.narrow(nn.functional.gelu(self.wide(self.second(both))))
        return both[:count], both[count:]

    def _apart(self, x: Tensor) -> Tensor:
        """[n, width] -> [heads, n, width / heads]."""
        return x.unflatten(-1, (self.heads, -1)).transpose(0, 1)
