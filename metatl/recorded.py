"""What torch records of a function's operations, and what the operations of such a recording are."""

# pyright: reportAttributeAccessIssue=false, reportPrivateUsage=false, reportReturnType=false
# fx types what a node calls as a union of everything, and keeps what an operation is private.

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import torch
from torch import fx
from torch._ops import OpOverload

aten = torch.ops.aten


def recorded(run: Callable[..., Any], flat: list[Any]) -> fx.GraphModule:
    """The operations of run(*flat), found without values, so that a recording takes no memory.

    What `run` closes over keeps its values. Raises RuntimeError where torch cannot follow.
    """
    from torch.fx.experimental.proxy_tensor import make_fx  # and with it sympy

    logger = logging.getLogger("torch._subclasses.fake_tensor")
    with _disabled(logger):  # torch's own report of an operation that it cannot follow
        return make_fx(run, tracing_mode="fake", _allow_non_fake_inputs=True)(*flat)


@contextmanager
def _disabled(logger: logging.Logger) -> Generator[None]:
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def name_of(node: fx.Node) -> str:
    """Name of the operation that a node calls, without namespace and overload."""
    return node.target._opname if isinstance(node.target, OpOverload) else ""


def mutates(node: fx.Node) -> bool:
    """Whether a node writes into what it is given."""
    return isinstance(node.target, OpOverload) and node.target._schema.is_mutable


def is_random(node: fx.Node) -> bool:
    """Whether a node draws random numbers; attention without dropout draws none."""
    if not isinstance(node.target, OpOverload) or torch.Tag.nondeterministic_seeded not in node.target.tags:
        return False
    for place, argument in enumerate(node.target._schema.arguments):
        if argument.name == "dropout_p":
            given = dict(enumerate(node.args)).get(place, argument.default_value)
            return node.kwargs.get(argument.name, given) != 0
    return True


def reshaped(graph: fx.Graph) -> None:
    """Every view becomes a reshape, which takes any strides; RuntimeError where something is written into.

    Other strides of the same values, as pooling gives a picture whose channels lie innermost, are dropped.
    """
    for node in list(graph.nodes):
        if node.target is aten.as_strided_.default and _same_values(*node.args):
            node.replace_all_uses_with(node.args[0])
            graph.erase_node(node)
        elif mutates(node):
            raise RuntimeError("a view of something that is written into")
        if node.target in (aten.view.default, aten._unsafe_view.default):
            node.target = aten.reshape.default


def _same_values(given: fx.Node, size: list[int], stride: list[int], offset: int | None = None) -> bool:
    """Whether a tensor that is laid out so holds what it held: only strides that no step takes may differ."""
    value = given.meta["val"]
    steps = zip(size, stride, value.stride(), strict=True)
    return (
        offset in (None, value.storage_offset())
        and list(value.shape) == list(size)
        and all(new == old for many, new, old in steps if many > 1)
    )
