"""What a transform is: (net, transfer) -> (net, transfer), before anything is learned."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

import torch
from torch import nn

from metatl.additions import Addition, attach_
from metatl.fields import Checked
from metatl.net import Net
from metatl.transforms.quantised_linear import QuantisedLinear
from metatl.types import Buffers, MetatlError, Params, Transfer


class Transform(Checked, ABC):
    """A change of what is carried: weights that are added, replaced, quantised or tied.

    Learners, adaptations and engines see the new pair and know nothing of the change. What a transform adds
    is the identity at its start, so that a net gives the same outputs before and after.
    """

    @abstractmethod
    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The new net and what it carries; raises MetatlError where the net gives it nothing to act on."""

    def outline(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The pair in names and shapes, from a start that is yet to be learned."""
        return self(net, transfer)

    def merge(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The pair without additions, the same function: the inverse once something was learned."""
        return merged(net, transfer)


def transformed(transforms: Iterable[Transform], net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
    """One transform after the other."""
    for transform in transforms:
        net, transfer = transform(net, transfer)
    return net, transfer


def outlined(transforms: Iterable[Transform], net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
    """One transform after the other, of a start that is yet to be learned."""
    for transform in transforms:
        net, transfer = transform.outline(net, transfer)
    return net, transfer


def extended(
    net: Net,
    transfer: Transfer,
    additions: Sequence[Addition],
    params: Params,
    buffers: Buffers | None = None,
    moving: Collection[str] = (),
) -> tuple[Net, Transfer]:
    """The pair with additions and their weights, which move, as do the output layer and `moving`.

    What an earlier transform added or moves goes on moving; requires_grad=False holds against all. Raises
    MetatlError for a layer that has an addition already.
    """
    taken = {one.layer for one in net.additions}
    twice = next((one.layer for one in additions if one.layer in taken), None)
    if twice is not None:
        raise MetatlError(
            f"layer '{twice}' has such an addition already, from a start or another transform; "
            "name other layers (targets)"
        )
    fixed = frozenset(name for name, p in net.module.named_parameters() if not p.requires_grad)
    still = (
        net.frozen
        if net.additions or net.through
        else frozenset(n for n in transfer.params if not net.is_head(n))
    )
    frozen = fixed | (still - frozenset(moving))
    new = replace(net, additions=net.additions + tuple(additions), plain=False, frozen=frozen)
    freed = {name: transfer.params[name] for name in net.frozen - frozen}
    fresh = {name: torch.ones_like(leaf) for name, leaf in {**freed, **params}.items()}
    guide = new.held(transfer.guide) | fresh
    held = {**transfer.buffers, **(buffers or {})}
    return new, replace(transfer, params={**transfer.params, **params}, guide=guide, buffers=held)


def merged(net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
    """The same function without additions: in the layers' own weights, else as a part of the module.

    A layer's new weights have guide 1 again; those that were held as codes are numbers again.
    """
    net, transfer = _passed(*_restored(net, transfer))
    params, guide, buffers = dict(transfer.params), dict(transfer.guide), dict(transfer.buffers)
    module, own = net.module, list[Addition]()
    for one in net.additions:
        new = one.merged(params)
        if new is None:
            own.append(one)
            continue
        params |= new
        guide |= {name: torch.ones_like(leaf) for name, leaf in new.items()}
        for name in one.names():
            del params[name], guide[name]
    if own:
        module = copy.deepcopy(module)
        attach_(module, own, params | buffers)
    still = frozenset(name for name, p in module.named_parameters() if not p.requires_grad)
    new_net = replace(net, module=module, additions=(), frozen=still)
    return new_net, replace(transfer, params=params, guide=new_net.held(guide), buffers=buffers)


def _passed(net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
    """The pair with the weights that come out of what they go through."""
    params, buffers = transfer.params, transfer.buffers
    for one in net.through:
        params, buffers = one(params, buffers)
    guide = {n: torch.ones_like(p) if net.through else transfer.guide[n] for n, p in params.items()}
    return replace(net, through=()), replace(transfer, params=params, guide=guide, buffers=buffers)


def _restored(net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
    """The pair with plain linear layers in place of those whose weights are held as codes."""
    coded = {n: one for n, one in net.module.named_modules() if isinstance(one, QuantisedLinear)}
    if not coded:
        return net, transfer
    module, params, buffers = copy.deepcopy(net.module), dict(transfer.params), dict(transfer.buffers)
    for name, one in coded.items():
        held = {own: buffers.pop(f"{name}.{own}") for own, _ in one.named_buffers(recurse=False)}
        layer = nn.Linear(one.in_features, one.out_features, "bias" in dict(one.named_parameters()))
        params[f"{name}.weight"] = one.said_by(held)
        module.set_submodule(name, layer.to(params[f"{name}.weight"]).eval())
    guide = transfer.guide | {f"{name}.weight": torch.ones_like(params[f"{name}.weight"]) for name in coded}
    return replace(net, module=module), replace(transfer, params=params, guide=guide, buffers=buffers)
