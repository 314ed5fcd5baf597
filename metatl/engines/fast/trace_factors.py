"""Simplifications of a recorded graph: factors move to where they cost least, products join sums."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportPrivateUsage=false
# fx types what a node is called with as a union of everything, and keeps what an operation is private.

from __future__ import annotations

import math
from typing import Any

import torch
from torch import fx

from metatl.engines.fast.graph import GraphRecorder
from metatl.recorded import name_of

aten = torch.ops.aten
_FACTORS = {"neg", "mul", "div"}


def _number(value: Any, notes: GraphRecorder) -> float | None:
    """A Python number, or the one number that a constant tensor repeats."""
    if isinstance(value, int | float):
        return float(value)
    layout = notes.layouts.get(value) if isinstance(value, fx.Node) else None
    constant = None if layout is None else notes.constants.get(layout.owner)
    if constant is None or not constant.dtype.is_floating_point or not constant.numel():
        return None
    first = constant.flatten()[0]
    return float(first) if bool((constant == first).all()) else None


def _scaled(node: Any, notes: GraphRecorder) -> tuple[fx.Node, float] | None:
    """(x, factor) when the node is factor * x and has the layout of x."""
    if (
        not isinstance(node, fx.Node)
        or node.kwargs
        or node not in notes.layouts
        or name_of(node) not in _FACTORS
    ):
        return None
    x = node.args[0]
    alike = x in notes.layouts and notes.layouts[node].like(notes.layouts[x])
    factor = -1.0 if name_of(node) == "neg" else _number(node.args[1], notes)
    if not alike or factor is None or not notes.layouts[node].dtype.is_floating_point:
        return None
    return x, factor if name_of(node) != "div" else 1.0 / factor


def merge_factors(graph: fx.Graph, node: fx.Node, notes: GraphRecorder) -> None:
    """a (b x) -> (a b) x; 1 x -> x; a (d x) and d (a x) -> (a d) x for a smaller d; y + a x -> one sum."""
    outer = _scaled(node, notes)
    if outer is not None:
        x, factor = outer
        inner = _scaled(x, notes)
        if inner is not None and len(x.users) == 1:
            x, factor = inner[0], factor * inner[1]
        if factor == 1.0:
            node.replace_all_uses_with(x)
        elif not _scale_smaller(graph, node, x, factor, notes):
            node.target, node.args = aten.mul.Tensor, (x, factor)
    elif node.target is aten.mul.Tensor and node in notes.layouts:
        for big, small in (node.args, node.args[::-1]):
            inner = _scaled(big, notes)
            if inner is not None and len(big.users) == 1 and _much_smaller(small, big, notes):
                _multiply(graph, node, inner[0], small, inner[1], notes)
                return
    elif name_of(node) in ("add", "sub") and len(node.args) == 2 and not node.kwargs:
        inner = _scaled(node.args[1], notes)
        if inner is not None and node in notes.layouts and len(node.args[1].users) == 1:
            node.args, node.kwargs = (node.args[0], inner[0]), {"alpha": inner[1]}


def _much_smaller(small: Any, big: Any, notes: GraphRecorder) -> bool:
    if small not in notes.layouts or big not in notes.layouts:
        return False
    return math.prod(notes.layouts[small].shape) * 4 <= math.prod(notes.layouts[big].shape)


def _multiply(
    graph: fx.Graph, node: fx.Node, big: fx.Node, small: fx.Node, by: float, notes: GraphRecorder
) -> None:
    with graph.inserting_before(node):
        scaled = graph.call_function(aten.mul.Tensor, (small, by))
    notes.layouts[scaled] = notes.layouts[small]
    node.target, node.args = aten.mul.Tensor, (big, scaled)


def _scale_smaller(graph: fx.Graph, node: fx.Node, x: fx.Node, by: float, notes: GraphRecorder) -> bool:
    """Whether x is a product with something much smaller, which could take the factor instead."""
    if x.target is not aten.mul.Tensor or len(x.users) != 1:
        return False
    for big, small in (x.args, x.args[::-1]):
        if _much_smaller(small, big, notes):
            _multiply(graph, node, big, small, by, notes)
            return True
    return False


def join_product(node: fx.Node, notes: GraphRecorder) -> None:
    """y + a b -> addcmul(y, a, b), where nothing else needs the product."""
    if node.target is not aten.add.Tensor or node.kwargs or len(node.args) != 2:
        return
    y, product = node.args
    if getattr(product, "target", None) is not aten.mul.Tensor or len(product.users) != 1:
        return
    kinds = {notes.layouts[n].dtype for n in (y, *product.args) if n in notes.layouts}
    if len(kinds) == 1 and all(isinstance(a, fx.Node) for a in (y, *product.args)):
        node.target, node.args = aten.addcmul.default, (y, *product.args)
