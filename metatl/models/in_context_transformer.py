"""A transformer that reads a task's support rows and answers its query rows in the same pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metatl.models.attention import SupportAttention
from metatl.models.picture_tokens import PictureTokens
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
        self.x = PictureTokens(shape, width, filters) if filters else nn.Linear(self.columns, width)
        self.y = nn.Linear(outputs, width, bias=False)
        self.always = nn.Parameter(torch.randn(1, width) * 0.02)
        self.blocks = nn.ModuleList(SupportAttention(width, heads, likeness) for _ in range(layers))
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


def _standardised(near: Tensor, far: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    total = weight.sum().clamp_min(1e-30)
    first, second = _units(near)
    own = near * first * second
    mean = weight @ own / total
    variance = weight @ (own - mean).square() / total
    varies = variance > 1e-10 * (1e-2 + mean.square())
    count = varies.sum(-1).clamp_min(1).to(near.dtype)
    scale = torch.where(varies, variance.clamp_min(1e-30).rsqrt(), 1.0)
    scale = scale * (near.shape[-1] / count).sqrt()
    widest = 5.0 * (near.shape[-1] / count).sqrt()
    mean = torch.where(varies, mean, weight @ near / total)
    near, far = (torch.where(varies, x * first * second, x) for x in (near, far))
    near, far = (((x - mean) * scale).maximum(-widest).minimum(widest) for x in (near, far))
    return near, far


def _units(near: Tensor) -> tuple[Tensor, Tensor]:
    """Powers of 2, two for each column [d]: times both its largest value is 1 to 2, whatever it was."""
    if not near.shape[0]:
        return near.new_ones(near.shape[1]), near.new_ones(near.shape[1])
    size = near.detach().abs().amax(0)
    places = -torch.where(size > 0, size, 1.0).log2().floor()
    half = (places / 2).floor()  # 2^-127 and 2^149 would leave the numbers on the way
    return half.exp2(), (places - half).exp2()
