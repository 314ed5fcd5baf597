"""How many tasks at once."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from metatl import tree
from metatl.engines.engine import task
from metatl.loss import Loss
from metatl.net import Net
from metatl.types import Params

_HELD = 256e6  # bytes
_MOST = 6  # answers that are kept
_LEAST = 16  # fewer tasks at once were slower


class Fitting:
    """How many tasks a gradient holds at once on a CPU: what speed does not need, memory is spared.

    A task holds about twice what the net's modules give for every row of every pass that is differentiated
    (Conv4: 0.9 to 1.9 times). Recorded, 16 tasks at once were 1.2 times as fast as 32 on W1 with 5 steps; 8
    and 4 were slower on W1 with 15 queries and on W2 (0.84 to 0.96 times).
    """

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], tuple[object, int]] = {}

    def __call__(self, loss: Loss, variables: Params, tasks: Any) -> int:
        """A divisor of the tasks, or an even share."""
        one, net = tree.first(tasks), loss.through()
        count = one.shape[0]
        if net is None or one.device.type != "cpu" or count <= _LEAST:
            return count
        passes = loss.passed_rows(task(tasks, 0))
        key = (id(net.module), net.outputs, one.shape[2:], count, passes)
        if key not in self._known:
            held = 2 * passes * one.element_size() * _outputs(net, loss, variables, tasks) // 2
            while len(self._known) >= _MOST:
                self._known.pop(next(iter(self._known)))
            self._known[key] = net.module, _even(count, max(_LEAST, int(_HELD // max(held, 1))))
        return self._known[key][1]


def _even(tasks: int, most: int) -> int:
    if tasks <= most:
        return tasks
    divisor = max(size for size in range(1, most + 1) if tasks % size == 0)
    return divisor if 2 * divisor > most else -(-tasks // -(-tasks // most))


def _outputs(net: Net, loss: Loss, variables: Params, tasks: Any) -> int:
    """Entries that the modules without children give for two rows of a task, together."""
    entries = 0

    def count(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal entries
        entries += sum(leaf.numel() for leaf in tree_leaves(output) if isinstance(leaf, Tensor))

    leaves = [module for module in net.module.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        with torch.no_grad():
            loss.probe(variables, task(tasks, 0), 2)
    finally:
        for hook in hooks:
            hook.remove()
    return entries
