"""In which order a pass uses a module's weights."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from metatl.net import Net
    from metatl.types import Params

_PREVIOUS = 99999.0
"""The number with which a group of timm's says that it belongs to the one before it."""


class _Uses(TorchFunctionMode):
    """Notes the weights that operations are given, each once, where tensors come of it (not shapes, say)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.names = {id(leaf): name for name, leaf in module.named_parameters()}
        self.found: dict[str, None] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        if func.__name__ != "__get__" and any(True for _ in _tensors(output)):
            for leaf in _tensors([*args, *(kwargs or {}).values()]):
                if id(leaf) in self.names:
                    self.found.setdefault(self.names[id(leaf)])
        return output


def used_in_order(module: nn.Module, call: Callable[[], Any]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of all weights by their first use in `call`, a pass of the module; those not seen to be used.

    A weight that no operation is seen to use stays after the one that is registered before it. Where none is
    seen (compiled code), none counts as not used.
    """
    with _Uses(module) as uses:
        call()
    places = {name: place for place, name in enumerate(uses.found)}
    last, keys = -1, dict[str, int]()
    for name in uses.names.values():
        last = keys[name] = places.get(name, last)
    unused = frozenset(name for name in keys if name not in places) if places else frozenset[str]()
    return tuple(sorted(keys, key=keys.__getitem__)), unused


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(cast(Mapping[Any, Any], value).values()))
    elif isinstance(value, list | tuple):
        for item in cast(Iterable[Any], value):
            yield from _tensors(item)


def place_of(name: str) -> str:
    """Where a weight belongs: `a.weight` for `a.parametrizations.weight.original1`, of which that is made."""
    return re.sub(r"(^|\.)parametrizations\.([^.]+)\..*$", r"\1\2", name)


def parts_of(module: nn.Module) -> list[tuple[str, nn.Module]]:
    """Its children by name, but what makes a weight of it."""
    return [(name, one) for name, one in module.named_children() if name != "parametrizations"]


def weights_in_order(net: Net, params: Iterable[str]) -> list[str]:
    """The names of weights, input first, the output layer last; what a transform added after its layer.

    By the pass over an example that `Net.of` was given; without one by the groups that the module tells of
    itself (`group_matcher`, as timm's nets have it); and where neither is there, as they are registered.
    """
    homes = {name: one.layer for one in net.additions for name in one.names()}
    names = list(params)
    own = [name for name in names if name not in homes]
    groups: Any = getattr(net.module, "group_matcher", None)
    if net.order:
        places = {name: place for place, name in enumerate(net.order)}
        own.sort(key=lambda name: places.get(name, len(places)))
    elif callable(groups):
        own.sort(key=_ordinal(groups()))
    else:  # what a weight is made of is registered after the layer's bias
        first = {name.rpartition(".")[0]: place for place, name in reversed([*enumerate(map(place_of, own))])}
        own.sort(key=lambda name: (first[place_of(name).rpartition(".")[0]], place_of(name) == name))
    own.sort(key=net.is_head)
    for name in (name for name in names if name in homes):
        inside = [place for place, other in enumerate(own) if other.startswith(f"{homes[name]}.")]
        own.insert(inside[-1] + 1 if inside else len(own), name)
    return own


def blocks_in_order(net: Net, params: Params) -> list[list[str]]:
    """The names of weights by block, in the order of `weights_in_order`; the output layer is the last.

    A block is a group that the module tells of itself (`group_matcher`), else what shares its name up to the
    first number in it (`encoder.layer.11`), or a layer whose name has none; where all that is numbered are
    layers, and parts of the net are modules of layers with names (`stage3.conv2`), these. What has no weight
    with two axes or more (a norm of its own), is no layer's (a position embedding of the whole net), or is
    not used by a pass (an auxiliary head), belongs to the block before it.
    """
    groups: Any = getattr(net.module, "group_matcher", None)
    ordinal = _ordinal(groups()) if callable(groups) else None
    parts = [] if callable(groups) else _named_parts(net.module)
    homes = {name: f"{one.layer}." for one in net.additions for name in one.names()}

    def block(name: str) -> Hashable:
        if net.is_head(name):
            return "head"
        name = place_of(homes.get(name, name))
        part = next((one for one in parts if name.startswith(f"{one}.")), None)
        return part or _numbered(name) if ordinal is None else ordinal(name)

    names = weights_in_order(net, params)
    whole = {name for name, one in net.module.named_modules() if parts_of(one)}
    used = [name for name in names if name not in net.unused]
    wide = [name for name in used if params[name].dim() > 1]
    own = {block(name) for name in wide if place_of(name).rpartition(".")[0] not in whole}
    found: dict[Hashable, list[str]] = {}
    last = block(next(iter(used), names[0]))
    for name in names:
        here = block(name)
        joins = here not in own or (isinstance(here, tuple) and here[-1:] == (_PREVIOUS,))
        last = last if joins else here
        found.setdefault(last, []).append(name)
    return list(found.values())


def _named_parts(module: nn.Module) -> list[str]:
    """Names of the modules that are made of layers with names, two or more side by side, nearest the top.

    Empty where the net has a numbered module that is more than a layer: numbers say what its blocks are.
    """
    holding = {name: one for name, one in module.named_modules() if any(True for _ in one.parameters())}
    if any(name.rpartition(".")[2].isdigit() and parts_of(one) for name, one in holding.items()):
        return []
    inside, front = module, ""
    while True:
        parts = [
            (name, one)
            for name, one in parts_of(inside)
            if any(not own.isdigit() and f"{front}{name}.{own}" in holding for own, _ in parts_of(one))
        ]
        if len(parts) != 1:
            return [front + name for name, _ in parts]
        inside, front = parts[0][1], f"{front}{parts[0][0]}."


def _numbered(name: str) -> tuple[str, ...]:
    """The parts of a name up to its first number; those of the layer where there is none."""
    parts = name.split(".")
    numbers = [place for place, part in enumerate(parts) if part.isdigit()]
    return tuple(parts[: numbers[0] + 1] if numbers else parts[:-1])


def _ordinal(groups: Any) -> Callable[[str], tuple[float, ...]]:
    """Where a weight's group stands: numbers to sort by, as `timm.models.group_with_matcher` has them.

    groups: a function of the name, or {group: pattern, or pairs (pattern, numbers that follow)}; first comes
    the group's place, then the numbers in the pattern's brackets. What nothing matches is last.
    """
    if callable(groups):
        return lambda name: _numbers(groups(name))
    patterns: list[tuple[re.Pattern[str], int, Any]] = []
    for place, told in enumerate(groups.values()):
        pairs = [(told, None)] if isinstance(told, str) else told or []
        patterns += [(re.compile(pattern), place, more) for pattern, more in pairs]

    def ordinal(name: str) -> tuple[float, ...]:
        for pattern, place, more in patterns:
            if (found := pattern.match(name)) is not None:
                return (float(place), *_numbers(found.groups()), *_numbers(more))
        return (float("inf"),)

    return ordinal


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, Iterable):
        values = (values,)
    return tuple(float(value) for value in cast(Iterable[Any], values) if value is not None)
