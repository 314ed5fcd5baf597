"""Two coupled networks, or more."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metatl.models.blocks import blocks, heads, widths


class CoupledNets(nn.Module):
    """A net a target; after every block, x_a <- W_a [x_1; ...; x_k] + b_a, over all channels of all nets.

    W_a (a 1x1 convolution, of units a linear layer) starts at `same` on the diagonal of a net's own channels
    and (1 - same) / (k - 1) on those of the others, b_a at 0: there it is cross-stitch, which mixes channels
    of one place only; `same` of 1 starts at separate nets. Source: NDDR, Gao et al. 2019, arXiv 1801.08297.

    Args:
        shape: of one example.
        outputs: of a net with one target; here `targets` says them.
        targets: outputs of each target, by name.
        filters: channels of the convolutions, of pictures.
        hidden: units of the linear layers.
        same: weight of a net's own channels at the start.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        targets: dict[str, int],
        filters: tuple[int, ...] = (),
        hidden: tuple[int, ...] = (64, 64),
        same: float = 0.9,
    ) -> None:
        super().__init__()
        self.names = tuple(targets)
        k = len(targets)
        self.nets = nn.ModuleList(nn.ModuleList(blocks(shape, filters, hidden)) for _ in targets)
        self.couplings = nn.ModuleList(
            nn.ModuleList(_coupling(place, k, width, same) for place in range(k))
            for width in widths(filters, hidden)
        )
        self.heads = heads(shape, targets, filters, hidden)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x [n, *shape] -> outputs [n, k] by target, k its own."""
        each = [x] * len(self.names)
        for depth, couplings in enumerate(self.couplings):
            found = [net[depth](x) for net, x in zip(self.nets, each, strict=True)]  # pyright: ignore[reportIndexIssue]
            last = torch.cat(found, 1).movedim(1, -1)
            each = [one(last).movedim(-1, 1) for one in couplings]  # pyright: ignore[reportGeneralTypeIssues]
        return {name: self.heads[str(i)](each[i].flatten(1)) for i, name in enumerate(self.names)}


def _coupling(place: int, k: int, width: int, same: float) -> nn.Linear:
    """All channels [k * width] to those of one net [width]."""
    layer = nn.Linear(k * width, width)
    own = 1.0 if k == 1 else same
    shares = [own if other == place else (1.0 - own) / max(k - 1, 1) for other in range(k)]
    with torch.no_grad():
        layer.weight.copy_(torch.cat([share * torch.eye(width) for share in shares], 1))
        layer.bias.zero_()
    return layer
