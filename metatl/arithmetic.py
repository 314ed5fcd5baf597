"""How much arithmetic a net needs: the multiply-adds of its matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from metatl.net import Net
from metatl.types import Transfer, Unroll


@dataclass(frozen=True)
class Products:
    """The products of one forward pass.

    first: multiply-adds of those whose input needs no gradient (they read the data); rest: of the others;
    calls: number of products.
    """

    first: int
    rest: int
    calls: int

    @property
    def mean(self) -> float:
        """Multiply-adds of an average product."""
        return (self.first + self.rest) / max(self.calls, 1)

    def inner_step(self, unroll: Unroll) -> int:
        """Multiply-adds that an inner step over this pass adds to an outer gradient.

        In reverse over reverse a product costs 1 forward, 2 backward and 6 more for the second derivative,
        but 4 in all where its input needs no gradient. In first order 3 and 2.
        """
        return 9 * self.rest + 4 * self.first if unroll == "full" else self.gradient()

    def gradient(self) -> int:
        """Multiply-adds of this pass and its gradient: 3 a product, 2 where its input needs no gradient."""
        return 3 * self.rest + 2 * self.first


class _Counter(TorchDispatchMode):
    """Counts the products that run inside it."""

    def __init__(self) -> None:
        super().__init__()
        self.done, self.calls = 0, 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        count = flop_registry.get(func._overloadpacket)
        if count is not None:
            self.done += count(*args, **kwargs, out_val=out) // 2
            self.calls += 1
        return out


def products(net: Net, transfer: Transfer, x: Tensor) -> Products:
    """The products of a pass over the rows x [n, ...]; runs it once."""
    params = {name: p.detach().requires_grad_() for name, p in transfer.params.items()}
    counter, first, begun = _Counter(), 0, 0

    def before(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        nonlocal begun
        begun = counter.done

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal first
        if isinstance(inputs[0], Tensor) and not inputs[0].requires_grad:
            first += counter.done - begun

    # Leaves only: a container may read the data too, but its products belong to its leaves.
    leaves = [module for module in net.module.modules() if not list(module.children())]
    hooks = [leaf.register_forward_pre_hook(before) for leaf in leaves]
    hooks += [leaf.register_forward_hook(after) for leaf in leaves]
    try:
        with counter, torch.enable_grad():
            net(params, transfer.buffers, x)
    finally:
        for hook in hooks:
            hook.remove()
    return Products(first, counter.done - first, counter.calls)


def products_of(call: Callable[[], Any]) -> Products:
    """All products that a call runs, none of them told apart; runs it once."""
    counter = _Counter()
    with counter:
        call()
    return Products(0, counter.done, counter.calls)
