"""A recorded pass cut in two: what no moving weight can change, and the rest."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false
# fx types what a node is called with, and what it notes of its value, as unions of everything.

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functionalize

from metatl import tree
from metatl.arithmetic import products_of_nodes
from metatl.net import Net
from metatl.recorded import is_random, recorded, reshaped
from metatl.types import Params, Transfer


@dataclass(frozen=True)
class Rest:
    """What is left of a pass after its frozen part.

    rows: what the frozen part gives for all support rows, tensors [n, ...]; call: (weights, these rows of one
    step) -> the net's output, differentiable in the weights that move.
    """

    rows: tuple[Tensor, ...]
    call: Callable[[Params, Any], Any]


@dataclass(frozen=True)
class Parts:
    """A recorded pass over a fixed number of rows, in two.

    early: (weights that stay, buffers, x) -> constants and kept rows; late: (moving weights, constants, kept
    rows) -> output; constants: how many of early's results have no rows; moving: names of the weights that
    `late` takes; nesting: of the output; bytes: of the kept rows; products: multiply-adds of `early`.
    """

    early: fx.GraphModule
    late: fx.GraphModule
    constants: int
    moving: tuple[str, ...]
    nesting: tree.Nesting
    bytes: int
    products: int

    @staticmethod
    def of(net: Net, transfer: Transfer, moving: frozenset[str], x: Any) -> Parts:
        """The recording of a pass over x [size, ...]."""
        # A forward may keep what it made: of tensors without values nothing may stay in the module.
        net = replace(net, module=copy.deepcopy(net.module, {id(leaf): leaf for leaf in _held(net.module)}))
        names = [name for name in transfer.params if name in moving]
        still = [name for name in transfer.params if name not in moving]
        leaves, shape = tree.flatten(x)
        seen: list[tree.Nesting] = []

        def run(*flat: Tensor) -> list[Tensor]:
            named = dict(zip([*names, *still, *transfer.buffers], flat, strict=False))
            params = {name: named[name] for name in transfer.params}
            buffers = {name: named[name] for name in transfer.buffers}
            output = net(params, buffers, tree.unflatten(flat[len(named) :], shape))
            values, nesting = tree.flatten(output)
            seen.append(nesting)
            return values

        weights = [transfer.params[name].detach().requires_grad_() for name in names]
        fixed = [*_of(transfer, still), *leaves]
        with torch.enable_grad(), torch.random.fork_rng(devices=[]):  # as passes run that are differentiated
            graph = recorded(functionalize(run, remove="mutations"), [*weights, *fixed])
        if any(is_random(node) for node in graph.graph.nodes):
            raise RuntimeError("a pass that draws at random")
        reshaped(graph.graph)
        given = [node for node in graph.graph.nodes if node.op == "placeholder"]
        moves, stays, rows = given[: len(names)], given[len(names) : -len(leaves)], given[-len(leaves) :]
        late, constants, kept = _cut(graph.graph, set(moves), set(rows), tree.rows(x))
        wanted = list(graph.graph.output_node().args[0])
        held = sum(node.meta["val"].nbytes for node in kept)
        front = [node for node in graph.graph.nodes if node not in late]
        behind = [node for node in graph.graph.nodes if node in late]
        early = _part(graph, front, [*stays, *rows], [*constants, *kept])
        rest = _part(graph, behind, [*moves, *constants, *kept], wanted)
        products = products_of_nodes(front)
        return Parts(early, rest, len(constants), tuple(names), seen[-1], held, products)

    def run(self, transfer: Transfer, x: Any, size: int) -> Rest:
        """The early part over all rows of x, `size` at a time; the first ones fill up the last time."""
        total = tree.rows(x)
        still = _of(transfer, [name for name in transfer.params if name not in self.moving])
        index = torch.arange(-(-total // size) * size, device=tree.first(x).device) % total
        found = [self.early(*still, *tree.leaves(tree.at(x, rows))) for rows in index.split(size)]
        constants = found[0][: self.constants]
        kept = [torch.cat(parts)[:total] for parts in list(zip(*found, strict=True))[self.constants :]]

        def call(weights: Params, rows: Any) -> Any:
            moving = [weights[name] for name in self.moving]
            return tree.unflatten(self.late(*moving, *constants, *rows), self.nesting)

        return Rest(tuple(kept), call)


def _held(module: nn.Module) -> Iterator[Tensor]:
    """All tensors of a module; those that a pass left in it cannot be copied while they have a graph."""
    yield from module.parameters()
    yield from module.buffers()
    for layer in module.modules():
        yield from (value for value in vars(layer).values() if isinstance(value, Tensor))


def _of(transfer: Transfer, still: Iterable[str]) -> list[Tensor]:
    return [*(transfer.params[name].detach() for name in still), *transfer.buffers.values()]


def _cut(
    graph: fx.Graph, moves: set[fx.Node], rows: set[fx.Node], size: int
) -> tuple[set[fx.Node], list[fx.Node], list[fx.Node]]:
    """What comes after the moving weights, and what it reads: values that depend on no row, and the others.

    Those must have the rows as their first axis; what has not comes after the moving weights too.
    """
    late, of_rows = set(moves), set(rows)
    for node in graph.nodes:
        for group in (late, of_rows):
            if not group.isdisjoint(node.all_input_nodes):
                group.add(node)
    while True:
        read = [node for node in graph.nodes if node not in late and not late.isdisjoint(node.users)]
        odd = {node for node in read if node in of_rows and not _has_rows(node, size)}
        if not odd:
            return late, [n for n in read if n not in of_rows], [n for n in read if n in of_rows]
        late |= odd


def _has_rows(node: fx.Node, size: int) -> bool:
    value = node.meta.get("val")
    return isinstance(value, Tensor) and value.dim() > 0 and value.shape[0] == size


def _part(
    graph: fx.GraphModule, nodes: list[fx.Node], given: list[fx.Node], wanted: list[fx.Node]
) -> fx.GraphModule:
    """Some operations of a recording, which lead from given to wanted values."""
    part, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in given:
        copies[node] = part.placeholder(node.name)
    for node in nodes:
        if node.op != "output" and node not in copies:
            copies[node] = part.node_copy(node, copies.__getitem__)
    part.output(tuple(copies[node] for node in wanted))
    return fx.GraphModule(graph, part)
