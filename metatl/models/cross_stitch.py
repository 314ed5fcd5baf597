"""Cross-stitch networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metatl.models.blocks import blocks, heads, widths


class CrossStitch(nn.Module):
    """A net a target; after every block, x_a <- sum over b of alpha_ab x_b, per channel, alpha learned.

    alpha starts at `same` on the diagonal and (1 - same) / (k - 1) beside it, so that activations keep their
    scale; `same` of 1 is separate nets. Source: Misra et al. 2016, arXiv 1604.03539.

    Args:
        shape: of one example.
        outputs: of a net with one target; here `targets` says them.
        targets: outputs of each target, by name.
        filters: channels of the convolutions, of pictures.
        hidden: units of the linear layers.
        same: where a net's own alpha starts.
        rate: factor on alpha's rate under Adam (published: 100 to 1000 times, under SGD).
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        targets: dict[str, int],
        filters: tuple[int, ...] = (),
        hidden: tuple[int, ...] = (64, 64),
        same: float = 0.9,
        rate: float = 10.0,
    ) -> None:
        super().__init__()
        self.names, self.rate = tuple(targets), rate
        k = len(targets)
        self.nets = nn.ModuleList(nn.ModuleList(blocks(shape, filters, hidden)) for _ in targets)
        start = same * torch.eye(k) + (1 - same) / max(k - 1, 1) * (1 - torch.eye(k))
        start = start if k > 1 else torch.ones(1, 1)
        self.alphas = nn.ParameterList(
            nn.Parameter(start.unsqueeze(-1).repeat(1, 1, width) / rate) for width in widths(filters, hidden)
        )
        self.heads = heads(shape, targets, filters, hidden)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x [n, *shape] -> outputs [n, k] by target, k its own."""
        each = [x] * len(self.names)
        for depth, alpha in enumerate(self.alphas):
            stacked = torch.stack([net[depth](x) for net, x in zip(self.nets, each, strict=True)])  # pyright: ignore[reportIndexIssue]
            shaped = (self.rate * alpha).reshape(*alpha.shape[:2], 1, -1, *[1] * (stacked.dim() - 3))
            each = list((shaped * stacked).sum(1))
        return {name: self.heads[str(i)](each[i].flatten(1)) for i, name in enumerate(self.names)}
