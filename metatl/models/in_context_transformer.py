"""A transformer that reads a task's support rows and answers its query rows in the same pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metatl.types import MetatlError


class InContextTransformer(nn.Module):
    """Support tokens e(x) + e(y) see each other, query tokens e(x) see the support tokens; no positions.

    One token that is always there stands beside the support rows, so that without any (or with rows of weight
    0 alone) the answer is what was learned of tasks as such: the prior's. Attention to a row of weight w is
    exp(q k / sqrt(d) + log w), which is that to w equal rows. So the order of support rows does not matter,
    and a query does not see another one (prior-fitted networks, Müller et al. 2022, arXiv 2112.10510; for
    functions Garg et al. 2022, arXiv 2208.01066). Rows may have fewer columns than `shape` says: they are
    filled with zeros.

    Args:
        shape: of one example, flattened: the most columns.
        outputs: classes at most, or values of a real target.
        width: of a token.
        layers: blocks of attention and of a hidden layer of 2 width.
        heads: of the attention; they divide the width.
        classes: whether targets are class indices (logits are given); else real values.
        bars: outputs for a real target, if these are the weights of a `BarDistribution`; 0 for the value.
        filters: of four convolutions that make a token of a picture [channels, height, width], each of them
            normalised by itself; 0 for one linear layer on columns.
        likeness: above 0 keys start as queries, orthogonal maps times this, so that a row first attends to
            rows like itself. Without it nets that read pictures stay at chance for thousands of steps.
        standardise: columns by mean and deviation of the support rows, those that vary scaled by
            sqrt(columns / those that vary); values beyond 5 deviations are cut.

    Raises MetatlError for a width that the heads do not divide.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        width: int = 64,
        layers: int = 4,
        heads: int = 4,
        classes: bool = True,
        bars: int = 0,
        standardise: bool = False,
        filters: int = 0,
        likeness: float = 0.0,
    ) -> None:
        super().__init__()
        if filters and (len(shape) != 3 or standardise):
            raise MetatlError(
                "InContextTransformer: filters read pictures [channels, height, width] as they are; "
                f"examples are {list(shape)}, standardise is {standardise}"
            )
        if width % heads or (classes and bars):
            said = "bars are for real targets" if classes and bars else f"{heads} heads, width {width}"
            raise MetatlError(f"InContextTransformer: {said}; let the heads divide the width, bars be 0")
        self.columns, self.classes, self.standardise = torch.Size(shape).numel(), classes, standardise
        self.pictures = bool(filters)
        self.x = _Pictures(shape, width, filters) if filters else nn.Linear(self.columns, width)
        self.y = nn.Linear(outputs, width, bias=False)
        self.always = nn.Parameter(torch.randn(1, width) * 0.02)
        self.blocks = nn.ModuleList(_Block(width, heads, likeness) for _ in range(layers))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.head = nn.Linear(width, bars or outputs)

    def forward(
        self, support_x: Tensor, support_y: Tensor, x: Tensor, support_weight: Tensor | None = None
    ) -> Tensor:
        """Outputs [n, outputs or bars] for the rows x [n, ...] beside m support rows.

        Raises MetatlError for more columns than the net has.
        """
        near, far = self._filled(support_x), self._filled(x)
        weight = near.new_ones(near.shape[0]) if support_weight is None else support_weight.to(near.dtype)
        if self.standardise:
            near, far = _standardised(near, far, weight)
        rows = torch.cat([self.always, self.x(near) + self.y(self._targets(support_y, near))])
        bias = torch.cat([weight.new_zeros(1), weight.clamp_min(1e-30).log()])
        asked = self.x(far)
        for block in self.blocks:
            rows, asked = block(rows, asked, bias)
        return self.head(self.norm(asked))

    def _filled(self, x: Tensor) -> Tensor:
        if self.pictures:
            return x
        x = x.flatten(1)
        if x.shape[1] > self.columns:
            raise MetatlError(
                f"there are {x.shape[1]} columns, and the net was trained for at most {self.columns}; take "
                "fewer columns, or another method"
            )
        return nn.functional.pad(x, (0, self.columns - x.shape[1]))

    def _targets(self, y: Tensor, like: Tensor) -> Tensor:
        if not self.classes:
            return y.reshape(-1, self.y.in_features).to(like.dtype)
        return (y.unsqueeze(-1) == torch.arange(self.y.in_features, device=y.device)).to(like.dtype)


class _Pictures(nn.Module):
    """[n, channels, height, width] -> [n, width]: four 3x3 convolutions of stride 2, each normed, with ReLU.

    Norms are over a picture's own channels and places (group norm with one group, Wu & He 2018, arXiv
    1803.08494), so that a row's token is of that row alone: batch norms would let query rows see each other.

    Args:
        shape: (channels, height, width).
        width: of a token.
        filters: channels of every convolution.
    """

    def __init__(self, shape: tuple[int, ...], width: int, filters: int) -> None:
        super().__init__()
        channels, height, wide = shape
        layers: list[nn.Module] = []
        for _ in range(4):
            layers += [
                nn.Conv2d(channels, filters, 3, stride=2, padding=1),
                nn.GroupNorm(1, filters),
                nn.ReLU(),
            ]
            channels, height, wide = filters, (height + 1) // 2, (wide + 1) // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(filters * height * wide, width))

    def forward(self, x: Tensor) -> Tensor:
        """Tokens [n, width] of pictures [n, channels, height, width]."""
        return self.layers(x)


class _Block(nn.Module):
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


def _standardised(near: Tensor, far: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    total = weight.sum().clamp_min(1e-30)
    mean = weight @ near / total
    variance = weight @ (near - mean).square() / total
    varies = variance > 1e-10 * (1e-2 + mean.square())
    count = varies.sum(-1).clamp_min(1).to(near.dtype)
    scale = torch.where(varies, variance.clamp_min(1e-30).rsqrt(), 1.0)
    scale = scale * (near.shape[-1] / count).sqrt()
    widest = 5.0 * (near.shape[-1] / count).sqrt()
    near, far = (((x - mean) * scale).maximum(-widest).minimum(widest) for x in (near, far))
    return near, far
