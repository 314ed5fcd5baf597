"""Arithmetic on named tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

Tree = dict[str, Tensor]


def map(fn: Callable[..., Tensor], one: Mapping[str, Tensor], *rest: Mapping[str, Tensor]) -> Tree:
    """fn applied name by name; every later tree needs the names of the first."""
    return {name: fn(leaf, *(tree[name] for tree in rest)) for name, leaf in one.items()}


def add(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tree:
    """a + b."""
    return map(torch.add, a, b)


def sub(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tree:
    """a - b."""
    return map(torch.sub, a, b)


def scale(a: Mapping[str, Tensor], factor: float | Tensor) -> Tree:
    """factor * a."""
    return {name: leaf * factor for name, leaf in a.items()}


def lerp(before: Mapping[str, Tensor], after: Mapping[str, Tensor], weight: Mapping[str, Tensor]) -> Tree:
    """before + weight * (after - before), entry by entry: a guide around any finished update."""
    return map(lambda b, a, w: b + w * (a - b), before, after, weight)


def square(a: Mapping[str, Tensor]) -> Tree:
    """a * a."""
    return map(torch.square, a)


def zeros(a: Mapping[str, Tensor]) -> Tree:
    """Zeros of the same shapes."""
    return map(torch.zeros_like, a)


def ones(a: Mapping[str, Tensor]) -> Tree:
    """Ones of the same shapes."""
    return map(torch.ones_like, a)


def detach(a: Mapping[str, Tensor]) -> Tree:
    """The same values, outside every graph."""
    return map(Tensor.detach, a)


def mean(a: Mapping[str, Tensor]) -> Tree:
    """Mean over the leading (task) axis: [tasks, ...] -> [...]."""
    return {name: leaf.mean(0) for name, leaf in a.items()}


def norm(a: Mapping[str, Tensor]) -> Tensor:
    """Euclidean norm of all entries together, 0-d."""
    return torch.stack([leaf.norm() for leaf in a.values()]).norm()


def count(a: Mapping[str, Tensor]) -> int:
    """Number of entries of all tensors together."""
    return sum(leaf.numel() for leaf in a.values())


def split(a: Mapping[str, Tensor], keep: Callable[[str], bool]) -> tuple[Tree, Tree]:
    """The entries whose name `keep` accepts, and the others."""
    yes = {name: leaf for name, leaf in a.items() if keep(name)}
    return yes, {name: leaf for name, leaf in a.items() if name not in yes}


def flat(a: Mapping[str, Tensor]) -> Tensor:
    """All entries in one vector [n], in the order of the names."""
    return torch.cat([leaf.reshape(-1) for leaf in a.values()])


def bits(leaf: Tensor) -> Tensor:
    """The bytes of all entries in order, [entries * bytes of one]; a single entry may have any stride."""
    plain = leaf.detach().contiguous()
    return plain.as_strided((plain.numel(),), (1,)).view(torch.uint8)


def lines(stacked: Tensor) -> Tensor:
    """[n, ...] as [n, numbers]; [n], of a weight without axes, as [n, 1]."""
    return stacked.flatten(1) if stacked.dim() > 1 else stacked.unsqueeze(1)


def unflat(vector: Tensor, like: Mapping[str, Tensor]) -> Tree:
    """The inverse of `flat`: pieces of the vector [n] in the shapes of `like`."""
    pieces = torch.split(vector, [leaf.numel() for leaf in like.values()])
    return {name: piece.view(leaf.shape) for (name, leaf), piece in zip(like.items(), pieces, strict=True)}


def to(a: Mapping[str, Tensor], device: str | torch.device) -> Tree:
    """The same tensors on a device."""
    return {name: leaf.to(device) for name, leaf in a.items()}


def leaves(value: Any) -> Iterable[Tensor]:
    """Every tensor of nested tuples and dicts, in a fixed order; None holds none."""
    if isinstance(value, Tensor):
        yield value
    elif value is None:
        return
    elif isinstance(value, Mapping):
        for item in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from leaves(item)
    else:
        for item in value:
            yield from leaves(item)


Nesting = tuple[Any, ...] | None
"""How tuples, lists and dicts lie in one another, without what they hold; None for what is none of them."""
_NOTHING = ("nothing",)
"""Where a None lies, which is no leaf."""


def flatten(value: Any) -> tuple[list[Any], Nesting]:
    """What nested tuples, lists and dicts hold, in order, and their nesting, which can be hashed."""
    held: list[Any] = []
    return held, _nesting(value, held)


def _nesting(value: Any, held: list[Any]) -> Nesting:
    if value is None:
        return _NOTHING
    if isinstance(value, dict):
        return dict, tuple(value), *[_nesting(item, held) for item in value.values()]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, tuple | list):
        return type(value), None, *[_nesting(item, held) for item in value]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    held.append(value)
    return None


def unflatten(held: Iterable[Any], nesting: Nesting) -> Any:
    """The inverse of `flatten`."""
    return _nested(iter(held), nesting)


def _nested(held: Iterator[Any], nesting: Nesting) -> Any:
    if nesting is None:
        return next(held)
    if nesting == _NOTHING:
        return None
    kind, names, *parts = nesting
    items = [_nested(held, part) for part in parts]
    if kind is dict:
        return dict(zip(names, items, strict=True))
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


def at(value: Any, index: int | slice | Tensor) -> Any:
    """The same nesting with every tensor [n, ...] indexed along its leading axis."""
    if isinstance(value, Tensor):
        return value[index]
    if value is None:
        return None
    if isinstance(value, dict):
        return {name: at(item, index) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    items = [at(item, index) for item in value]
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def gather(values: list[Any], join: Callable[[list[Tensor]], Tensor]) -> Any:
    """One nesting out of many alike: `torch.stack` or `torch.cat` over every leaf."""
    one = values[0]
    if isinstance(one, Tensor):
        return join(values)
    if one is None:
        return None
    if isinstance(one, dict):
        return {name: gather([value[name] for value in values], join) for name in one}  # pyright: ignore[reportUnknownVariableType]
    items = [gather(list(column), join) for column in zip(*values, strict=True)]
    return type(one)(*items) if hasattr(one, "_fields") else type(one)(items)


def first(value: Any) -> Tensor:
    """The first tensor [n, ...] of a nesting: its leading axis is that of all."""
    return next(iter(leaves(value)))


def rows(value: Any) -> int:
    """Length of the leading axis that all tensors of a nesting share."""
    return first(value).shape[0]


def apply(fn: Callable[[Tensor], Tensor], value: Any) -> Any:
    """fn of every tensor of a nesting."""
    held, nesting = flatten(value)
    return unflatten([fn(leaf) for leaf in held], nesting)
