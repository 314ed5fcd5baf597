"""Blocks of several modules each, of which every target takes some."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metatl.models.blocks import blocks, heads
from metatl.types import MetatlError


class ModuleGrid(nn.Module):
    """h_d = mean over the modules m with on[target, d, m] of module_dm(h_{d-1}); a linear head a target.

    The buffer `on` [targets, blocks, modules] starts at true everywhere: all modules on. A learner that
    changes it (`multitasking.routing`) lets every target find its path. The mean keeps the scale whatever
    number is on, where PathNet sums. Source: Fernando et al. 2017, arXiv 1701.08734.

    Args:
        shape: of one example.
        outputs: of a net with one target; here `targets` says them.
        targets: outputs of each target, by name.
        filters: channels of the convolutions, of pictures.
        hidden: units of the linear layers.
        modules: of each block.
    """

    on: Tensor

    def __init__(
        self,
        shape: tuple[int, ...],
        outputs: int,
        targets: dict[str, int],
        filters: tuple[int, ...] = (),
        hidden: tuple[int, ...] = (64, 64),
        modules: int = 4,
    ) -> None:
        super().__init__()
        if modules < 1:
            raise MetatlError(f"ModuleGrid: modules is {modules}; give 1 or more")
        self.names, self.depth = tuple(targets), len(filters) + len(hidden)
        self.nets = nn.ModuleList(nn.ModuleList(blocks(shape, filters, hidden)) for _ in range(modules))
        self.heads = heads(shape, targets, filters, hidden)
        self.register_buffer("on", torch.ones(len(targets), self.depth, modules, dtype=torch.bool))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """x [n, *shape] -> outputs [n, k] by target, k its own."""
        found: dict[str, Tensor] = {}
        passed: dict[tuple[int, ...], Tensor] = {}  # by the path so far, and the module: shared among targets
        for i, name in enumerate(self.names):
            h, path = x, tuple[int, ...]()
            for depth, on in enumerate(self.on[i].tolist()):
                taken = [m for m, one in enumerate(on) if one]
                for m in taken:
                    if (*path, m) not in passed:
                        passed[*path, m] = self.nets[m][depth](h)  # pyright: ignore[reportIndexIssue]
                each = [passed[*path, m] for m in taken]
                path = (*path, *taken, -1)
                if path not in passed:
                    passed[path] = each[0] if len(each) == 1 else torch.stack(each).mean(0)
                h = passed[path]
            found[name] = self.heads[str(i)](h.flatten(1))
        return found
