"""How much arithmetic a net needs: the multiply-adds of its matrix products and convolutions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
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
    """Counts operations that run inside it, products among them, and those that no gradient goes through."""

    def __init__(self) -> None:
        super().__init__()
        self.done, self.still, self.calls, self.operations = 0, 0, 0, 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        self.operations += 1
        if (found := _multiply_adds(func, args, kwargs, out)) is not None:
            self.done += found
            self.calls += 1
            if not any(leaf.requires_grad for leaf in args if isinstance(leaf, Tensor)):
                self.still += found
        return out


def _multiply_adds(func: Any, args: Any, kwargs: Any, out: Any) -> int | None:
    """Of one operation; None for what is no product."""
    count = flop_registry.get(getattr(func, "overloadpacket", None))
    return None if count is None else count(*args, **kwargs, out_val=out) // 2


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


def products_ahead(net: Net, transfer: Transfer, moving: Collection[str], x: Any) -> tuple[int, int]:
    """Multiply-adds of a pass over x that come before any weight in `moving`, and the pass's operations.

    Runs the pass once.
    """
    params = {name: p.detach().requires_grad_(name in moving) for name, p in transfer.params.items()}
    counter = _Counter()
    with counter, torch.enable_grad():
        net(params, transfer.buffers, x)
    return counter.still, counter.operations


def products_of_nodes(nodes: Iterable[fx.Node]) -> int:
    """Multiply-adds of a recording's operations, from the shapes that were recorded."""
    total = 0
    for node in nodes:
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda given: given.meta.get("val"))
        total += _multiply_adds(node.target, args, kwargs, node.meta.get("val")) or 0
    return total
