"""How many tasks at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from metatl import tree
from metatl.adapt import Descent
from metatl.engines.engine import Outer
from metatl.net import Net
from metatl.types import Episode, Transfer

_HELD = 256e6  # bytes
_MOST = 6  # answers that are kept
_LEAST = 16  # fewer tasks at once were slower


class Fitting:
    """How many tasks an outer gradient holds at once on a CPU: what speed does not need, memory is spared.

    A task holds about twice what the net's modules give for every row of every pass that is differentiated
    (Conv4: 0.9 to 1.9 times). Recorded, 16 tasks at once were 1.2 times as fast as 32 on W1 with 5 steps; 8
    and 4 were slower on W1 with 15 queries and on W2 (0.84 to 0.96 times).
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[object, int]] = {}

    def __call__(
        self, net: Net, transfer: Transfer, adaptation: Descent, outer: Outer, episodes: Episode
    ) -> int:
        """A divisor of the tasks, or an even share."""
        one = tree.first(episodes.support.x)
        tasks, rows = one.shape[:2]
        if one.device.type != "cpu" or tasks <= _LEAST:
            return tasks
        steps = adaptation.steps if outer.unroll == "full" else 1
        size = adaptation.batch_size or rows
        passes = max(steps, 1) * min(size, rows) + rows + tree.first(episodes.query.x).shape[1]
        key = (id(net.module), net.outputs, one.shape[2:], tasks, passes)
        if key not in self._known:
            row = tree.apply(lambda leaf: leaf[0, :2], episodes.support.x)
            held = 2 * passes * one.element_size() * _outputs(net, transfer, row) // 2
            while len(self._known) >= _MOST:
                self._known.pop(next(iter(self._known)))
            self._known[key] = net.module, _even(tasks, max(_LEAST, int(_HELD // max(held, 1))))
        return self._known[key][1]


def _even(tasks: int, most: int) -> int:
    if tasks <= most:
        return tasks
    divisor = max(size for size in range(1, most + 1) if tasks % size == 0)
    return divisor if 2 * divisor > most else -(-tasks // -(-tasks // most))


def _outputs(net: Net, transfer: Transfer, rows: Any) -> int:
    """Entries that the modules without children give for these rows, together."""
    entries = 0

    def count(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal entries
        entries += sum(leaf.numel() for leaf in tree_leaves(output) if isinstance(leaf, Tensor))

    leaves = [module for module in net.module.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        with torch.no_grad():
            net(transfer.params, transfer.buffers, rows)
    finally:
        for hook in hooks:
            hook.remove()
    return entries
