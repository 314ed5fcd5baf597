"""Hard sharing, and how deep it goes."""

from __future__ import annotations

from torch import Tensor, nn

from metatl.models.blocks import blocks, heads


class SharedTrunk(nn.Module):
    """The first `shared` blocks are everybody's; the rest and a linear head are each target's own.

    All blocks shared is hard sharing, none separate nets, and the numbers between them the curve over the
    split point. Source: Caruana 1997.

    Args:
        shape: of one example.
        outputs: of a net with one target; here `targets` says them.
        targets: outputs of each target, by name.
        filters: channels of the convolutions, of pictures.
        hidden: units of the linear layers.
        shared: blocks that are shared; all for None.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        targets: dict[str, int],
        filters: tuple[int, ...] = (),
        hidden: tuple[int, ...] = (64, 64),
        shared: int | None = None,
    ) -> None:
        super().__init__()
        self.names = tuple(targets)
        depth = len(filters) + len(hidden)
        split = depth if shared is None else min(shared, depth)
        own = {str(i): nn.Sequential(*blocks(shape, filters, hidden)[split:]) for i in range(len(targets))}
        self.trunk = nn.Sequential(*blocks(shape, filters, hidden)[:split])
        self.nets = nn.ModuleDict(own)
        self.heads = heads(shape, targets, filters, hidden)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x [n, *shape] -> outputs [n, k] by target, k its own."""
        x = self.trunk(x)
        return {
            name: self.heads[str(i)](self.nets[str(i)](x).flatten(1)) for i, name in enumerate(self.names)
        }
