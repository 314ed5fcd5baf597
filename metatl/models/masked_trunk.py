"""Task masks: one trunk, of which every target sees channels of its own."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metatl.models.blocks import blocks, heads, widths
from metatl.types import MetatlError


class MaskedTrunk(nn.Module):
    """One trunk; after every block a target keeps round(kept * c) of the c channels, the others are 0 to it.

    Which ones is drawn once for each target and never learned; masks stand in the graph, so that a channel
    which a target does not see gets no gradient of its loss. `kept` of 1 is hard sharing. Source: task
    routing, Strezoski, van Noord & Worring 2019, arXiv 1903.12117 (whose code hides the mask from the
    gradient, and counts the channels that are left out).

    Args:
        shape: of one example.
        outputs: of a net with one target; here `targets` says them.
        targets: outputs of each target, by name.
        filters: channels of the convolutions, of pictures.
        hidden: units of the linear layers.
        kept: share of the channels that a target sees, above 0.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        targets: dict[str, int],
        filters: tuple[int, ...] = (),
        hidden: tuple[int, ...] = (64, 64),
        kept: float = 0.6,
    ) -> None:
        super().__init__()
        if not 0.0 < kept <= 1.0:
            raise MetatlError(f"MaskedTrunk: kept is {kept}; give a share above 0, at most 1")
        self.names = tuple(targets)
        self.trunk = nn.ModuleList(blocks(shape, filters, hidden))
        self.heads = heads(shape, targets, filters, hidden)
        for depth, width in enumerate(widths(filters, hidden)):
            masks = torch.zeros(len(targets), width)
            for mask in masks:
                mask[torch.randperm(width)[: max(1, round(kept * width))]] = 1.0
            self.register_buffer(f"masks_{depth}", masks)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x [n, *shape] -> outputs [n, k] by target, k its own: a pass for each."""
        found: dict[str, Tensor] = {}
        for i, name in enumerate(self.names):
            own = x
            for depth, block in enumerate(self.trunk):
                own = block(own)
                mask = self.get_buffer(f"masks_{depth}")[i]
                own = own * mask.reshape(1, -1, *[1] * (own.dim() - 2))
            found[name] = self.heads[str(i)](own.flatten(1))
        return found
