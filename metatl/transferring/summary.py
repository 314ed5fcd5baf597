"""A net layer by layer: shapes, weights, what a row of the table would move, and the memory of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks

from metatl import tree
from metatl.adapt import Descent
from metatl.adapt.carried import movable
from metatl.heads import Zeros
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.transferring.backbone import Backbone
from metatl.transferring.fit import started
from metatl.transferring.rows import Row
from metatl.transforms import told
from metatl.types import Batch, Params, Transfer


@dataclass(frozen=True)
class Layer:
    """A layer that holds weights, or gives another shape than it is given.

    shape: of its output for one row; weights: of its own; moved: those of them that a method may move.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    weights: int
    moved: int


@dataclass(frozen=True)
class Summary:
    """layers: in the order of a pass; weights, moved: in all; bytes: of a step, by what holds them.

    added: at which layers a method adds weights, where that is not at all of them (`transforms.told`).
    """

    layers: tuple[Layer, ...]
    weights: int
    moved: int
    bytes: dict[str, int]
    added: str = ""


def summary(backbone: Backbone, row: Row | None = None, outputs: int | None = None) -> Summary:
    """The net with an output layer of `outputs` rows (its own number for None), under a row of the table.

    What a row chooses by labelled rows (a mask, a source's guide) counts as moved: it is the most that may
    move. What no pass uses (an auxiliary head) does not, whatever a row lets move: it has no gradient. Raises
    MetatlError where the net gives the row nothing to act on.
    """
    x = backbone.example()
    without_values = any(leaf.is_meta for leaf in tree.leaves(x))
    net = Net.of(backbone.module, backbone.head, None if without_values else x)
    count = net.own_outputs if outputs is None else outputs
    net, transfer = net.with_outputs(count), net.start()
    fixed = row is None or row.moves == "head"
    if row is not None and not fixed:
        net, transfer = started(replace(row, learner=None), backbone, backbone.module, count)
    params, guide = Zeros().init(net, transfer, Batch(None))
    if fixed:
        head = 0.0 if row is None or row.on == "inputs" or row.reads == "names" else 1.0
        guide = {n: torch.tensor(head if net.is_head(n) else 0.0) for n in params}
    held = Transfer(params, guide, transfer.buffers)
    used = {n: torch.zeros_like(entry) if n in net.unused else entry for n, entry in guide.items()}
    layers = _layers(net, replace(held, guide=used), x)
    moved = movable(params, used, _STEPS)
    weights = sum(leaf.numel() for leaf in params.values())
    return Summary(layers, weights, moved, _bytes(net, held, row, x, fixed), told(net))


_STEPS = 1 << 20
"""Inner steps that count: all that a guide knows."""


def _layers(net: Net, transfer: Transfer, x: Any) -> tuple[Layer, ...]:
    found: list[Layer] = []
    homes = {name: one.layer for one in net.additions for name in one.names()}

    def own(module: str) -> Params:
        return {
            name: leaf
            for name, leaf in transfer.params.items()
            if homes.get(name, name.rpartition(".")[0]) == module
        }

    def seen(name: str, module: nn.Module, given: Sequence[Any], output: Any) -> None:
        weights = own(name)
        before = given[0] if given else None
        changed = isinstance(before, Tensor) and isinstance(output, Tensor) and before.shape != output.shape
        leaf = next(module.children(), None) is None
        if not any(layer.name == name for layer in found) and (weights or (leaf and changed)):
            shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else ()
            moved = movable(weights, transfer.guide, _STEPS)
            found.append(Layer(name, type(module).__name__, shape, tree.count(weights), moved))

    hooks = [
        module.register_forward_hook(lambda m, given, out, name=name: seen(name, m, given, out))
        for name, module in net.module.named_modules()
    ]
    try:
        with torch.no_grad(), moments_from(Rows(frozen=True)):
            net(transfer.params, transfer.buffers, x)
    finally:
        for hook in hooks:
            hook.remove()
    listed = {layer.name for layer in found}
    for name, module in net.module.named_modules():  # whose weights are used without a call of its own
        if name not in listed and (weights := own(name)):
            moved = movable(weights, transfer.guide, _STEPS)
            found.append(Layer(name, type(module).__name__, (), tree.count(weights), moved))
    return tuple(found)


def _bytes(net: Net, transfer: Transfer, row: Row | None, x: Any, fixed: bool) -> dict[str, int]:
    """Bytes of weights; for a row that moves the body of gradients, rule and activations too."""
    held = {"weights": _size(transfer.params) + _size(transfer.buffers)}
    if row is None or fixed:
        return held
    descent = cast(Descent, row.adaptation)
    moving = {n: leaf for n, leaf in transfer.params.items() if movable({n: leaf}, transfer.guide, _STEPS)}
    memory = sum(_size(leaves) for leaves in descent.rule.init(moving).values())
    rows = row.schedule.batch
    kept = rows * _activations(net, transfer, frozenset(moving), x) // tree.rows(x)
    return {**held, "gradients": _size(moving), "rule": memory, f"activations of {rows} rows": kept}


def _size(leaves: Params) -> int:
    return sum(leaf.nbytes for leaf in leaves.values())


def _activations(net: Net, transfer: Transfer, moving: frozenset[str], x: Any) -> int:
    """Bytes that a pass over x keeps for its way back, beside weights and buffers."""
    params = {n: p.detach().requires_grad_(n in moving) for n, p in transfer.params.items()}
    known = {t.untyped_storage().data_ptr() for t in (*params.values(), *transfer.buffers.values())}
    kept: dict[int, Tensor] = {}

    def pack(leaf: Tensor) -> Tensor:
        place = leaf.untyped_storage().data_ptr()
        if place not in known:
            kept.setdefault(place, leaf)
        return leaf

    with torch.enable_grad(), moments_from(Rows(frozen=True)), saved_tensors_hooks(pack, lambda leaf: leaf):
        output = net(params, transfer.buffers, x)
    del output
    return sum(leaf.untyped_storage().nbytes() for leaf in kept.values())
