"""Simplifications of a recorded graph: its sizes and strides are constants, so views need no operations."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false
# pyright: reportOptionalMemberAccess=false, reportPrivateUsage=false
# fx types what a node is called with as a union of everything, and keeps what an operation is private.

from __future__ import annotations

import torch
from torch import fx

from metatl.engines.fast.graph import FRESH, GraphRecorder, Layout
from metatl.engines.fast.native import run_kernel
from metatl.engines.fast.trace_factors import join_product, merge_factors
from metatl.recorded import is_random, mutates, name_of

aten = torch.ops.aten
# Bound to Python directly, these cost a third of a call through the dispatcher's boxed interface.
_DIRECT = {
    *(
        "add",
        "addmm",
        "as_strided",
        "baddbmm",
        "bmm",
        "clone",
        "div",
        "exp",
        "gather",
        "log",
        "mean",
        "mm",
        "mul",
    ),
    *("neg", "pow", "relu", "rsqrt", "scatter_add", "sigmoid", "sqrt", "sub", "sum", "tanh", "where"),
}


def _sum_in_memory_order(graph: fx.Graph, node: fx.Node, notes: GraphRecorder) -> None:
    """A sum over the leading axis of a permuted tensor: in the order of memory it runs over whole vectors."""
    (x, axes, *rest), layout = node.args, notes.layouts.get(node.args[0])
    if list(axes) != [0] or node.kwargs or layout is None or len(layout.shape) < 3:
        return
    order = sorted(range(1, len(layout.shape)), key=lambda a: -layout.stride[a])
    if order == sorted(order) or layout.stride[0] < max(layout.stride):
        return
    with graph.inserting_before(node):
        straight = graph.call_function(aten.permute.default, (x, [0, *order]))
        total = graph.call_function(aten.sum.dim_IntList, (straight, [0]))
        back = graph.call_function(aten.permute.default, (total, [order.index(a) for a in sorted(order)]))
        if rest and rest[0]:
            back = graph.call_function(aten.unsqueeze.default, (back, 0))
        node.replace_all_uses_with(back)


def shorten(graph: fx.GraphModule, notes: GraphRecorder) -> None:
    """Merge factors into sums; sum in the order of memory."""
    for node in list(graph.graph.nodes):
        if node.target is aten.sum.dim_IntList:
            _sum_in_memory_order(graph.graph, node, notes)
        else:
            merge_factors(graph.graph, node, notes)
    for node in graph.graph.nodes:
        join_product(node, notes)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _given_out(graph: fx.GraphModule, notes: GraphRecorder) -> set[fx.Node]:
    """Whose memory the caller gets: it may write there, so nobody else may use it."""
    output = next(n for n in graph.graph.nodes if n.op == "output")
    return {notes.layouts[i].owner for i in output.all_input_nodes if i in notes.layouts}


def fold_constants(graph: fx.GraphModule, notes: GraphRecorder) -> None:
    """Values that depend on no input become attributes, unless something writes into them."""
    # What changes after the operation that made it, and all that is computed from that.
    written = _given_out(graph, notes)
    for node in graph.graph.nodes:
        if mutates(node):
            written |= {notes.layouts[i].owner for i in node.all_input_nodes if i in notes.layouts}
    for node in list(graph.graph.nodes):
        reads = {notes.layouts[i].owner for i in node.all_input_nodes if i in notes.layouts}
        reads = set() if name_of(node) in FRESH else reads
        if node not in notes.constants or node in written or reads & written:
            notes.constants.pop(node, None)
            written.add(node)  # and with it whatever is computed from it
            continue
        name = f"constant_{node.name}"
        graph.register_buffer(name, notes.constants[node])
        with graph.graph.inserting_before(node):
            new = graph.graph.get_attr(name)
        notes.layouts[new] = Layout.of(new, notes.constants[node])
        node.replace_all_uses_with(new)
        for other, layout in list(notes.layouts.items()):
            if layout.owner is node:
                notes.layouts[other] = Layout(new, layout.shape, layout.stride, layout.offset, layout.dtype)
    graph.graph.eliminate_dead_code()


def flatten_views(graph: fx.GraphModule, notes: GraphRecorder) -> None:
    """Whoever reads a view reads `as_strided` of the memory's owner, or the owner where that is the same."""
    made: dict[Layout, fx.Node] = {}

    def direct(node: fx.Node) -> fx.Node:
        layout = notes.layouts.get(node)
        if layout is None or layout.owner is node:
            return node
        if layout == notes.layouts[layout.owner]:
            return layout.owner
        if layout not in made:
            with graph.graph.inserting_after(layout.owner):
                args = (layout.owner, list(layout.shape), list(layout.stride), layout.offset)
                made[layout] = graph.graph.call_function(aten.as_strided.default, args)
        return made[layout]

    for node in list(graph.graph.nodes):
        layout = notes.layouts.get(node)
        if layout is None or layout.owner is node or mutates(node):
            node.args = fx.map_arg(node.args, direct)
            node.kwargs = fx.map_arg(node.kwargs, direct)
    graph.graph.eliminate_dead_code()


def drop_repeats(graph: fx.GraphModule) -> None:
    """One node for equal calls, where nothing in the graph writes into memory."""
    nodes = list(graph.graph.nodes)
    if any(mutates(n) for n in nodes):
        return
    views = {n for n in nodes if name_of(n) == "as_strided"}
    given_out = {n.args[0] if n in views else n for n in nodes[-1].all_input_nodes}
    seen: dict[str, fx.Node] = {}
    for node in nodes:
        if node.op != "call_function" or is_random(node) or node in given_out:
            continue
        first = seen.setdefault(f"{node.target} {node.args} {node.kwargs}", node)
        if first is not node:
            node.replace_all_uses_with(first)
            graph.graph.erase_node(node)


def lower(graph: fx.GraphModule) -> None:
    """Call torch's own functions, and compiled kernels, without the dispatcher's boxed interface."""
    for node in graph.graph.nodes:
        if name_of(node) == "kernel":
            node.target = run_kernel
        elif name_of(node) in _DIRECT and node.target.namespace == "aten":
            node.target = getattr(torch, name_of(node))
