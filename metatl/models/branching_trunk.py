"""A trunk whose blocks can be told to branch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metatl.models.blocks import blocks, heads


class BranchingTrunk(nn.Module):
    """Target i passes block d by its copy route[i, d]; targets with the same copies so far share the pass.

    The buffer `route` [targets, blocks] starts at 0: one trunk for all, hard sharing. There is a copy a
    target, `nets.<copy>.<block>`; one that no route names is not used. A learner that changes the route
    (`multitasking.branching`) lets the trunk split while it is trained. Source: Lu et al. 2017,
    arXiv 1611.05377.

    Args:
        shape: of one example.
        outputs: of a net with one target; here `targets` says them.
        targets: outputs of each target, by name.
        filters: channels of the convolutions, of pictures.
        hidden: units of the linear layers.
    """

    route: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        targets: dict[str, int],
        filters: tuple[int, ...] = (),
        hidden: tuple[int, ...] = (64, 64),
    ) -> None:
        super().__init__()
        self.names, self.depth = tuple(targets), len(filters) + len(hidden)
        self.nets = nn.ModuleList(nn.ModuleList(blocks(shape, filters, hidden)) for _ in targets)
        self.heads = heads(shape, targets, filters, hidden)
        self.register_buffer("route", torch.zeros(len(targets), self.depth, dtype=torch.int64))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x [n, *shape] -> outputs [n, k] by target, k its own."""
        passed: dict[tuple[int, ...], Tensor] = {(): x}
        routes: list[list[int]] = self.route.tolist()
        for depth in range(self.depth):
            for route in routes:
                before, after = tuple(route[:depth]), tuple(route[: depth + 1])
                if after not in passed:
                    passed[after] = self.nets[route[depth]][depth](passed[before])  # pyright: ignore[reportIndexIssue]
        each = zip(self.names, routes, strict=True)
        return {name: self.heads[str(i)](passed[tuple(r)].flatten(1)) for i, (name, r) in enumerate(each)}
