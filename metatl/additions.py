"""Calls that are added at a net's layers, with weights of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from metatl.types import Buffers, Params


class Addition(ABC):
    """What a transform adds at a layer, from tensors that are named in the transfer and are its own.

    The layer's own weights stay as they are, so that what is added is never made into a whole matrix.
    """

    layer: str
    """Dotted name of the layer."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The tensors that are its own: weights, and running moments of a norm."""

    def before(self, tensors: Params, x: Tensor) -> Tensor:
        """What goes into the layer; x itself where nothing else is said."""
        return x

    @abstractmethod
    def __call__(self, tensors: Params, x: Tensor, output: Tensor, training: bool = False) -> Tensor:
        """The layer's output with the addition, from what went in and what came out.

        tensors: its own and the layer's weights, by their names in the transfer; training: whether dropout
        is on.
        """

    def merged(self, params: Params) -> Params | None:
        """The layer's own weights that give the same function by themselves; None where there are none."""
        return None


class Through(ABC):
    """What weights go through before every pass: those that are carried to those of the module.

    It may name tensors of its own among them, which the module does not see.
    """

    @abstractmethod
    def __call__(self, params: Params, buffers: Buffers) -> tuple[Params, Buffers]:
        """The module's own weights and buffers; differentiable in the carried weights."""


def without(additions: Sequence[Addition], params: Params) -> Params:
    """The module's own tensors: those that are no addition's."""
    if not additions:
        return params
    theirs = {name for addition in additions for name in addition.names()}
    return {name: leaf for name, leaf in params.items() if name not in theirs}


@contextmanager
def added(module: nn.Module, additions: Sequence[Addition], tensors: Params) -> Generator[None]:
    """Inside it the module's layers give their output with the additions under these tensors."""
    hooks: list[Any] = []
    for addition in additions:
        hooks += _hooked(module.get_submodule(addition.layer), _Call(addition, tensors))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def attach_(module: nn.Module, additions: Sequence[Addition], tensors: Mapping[str, Tensor]) -> None:
    """Make additions a part of the module: hooks at its layers, and their weights as its parameters.

    tensors: of additions by name; those whose names end in `running_mean` or `running_var` become buffers.
    """
    for addition in additions:
        for name in addition.names():
            place, _, own = name.rpartition(".")
            holder, leaf = _holder(module, place), tensors[name].detach().clone()
            if own.startswith("running_"):
                holder.register_buffer(own, leaf)
            else:
                holder.register_parameter(own, nn.Parameter(leaf))
        _hooked(module.get_submodule(addition.layer), _Call(addition, None))


def attached(module: nn.Module) -> tuple[Addition, ...]:
    """The additions that were made a part of the module."""
    hooks: list[Any] = [hook for layer in module.modules() for hook in layer._forward_hooks.values()]  # pyright: ignore[reportPrivateUsage]
    return tuple(hook.addition for hook in hooks if isinstance(hook, _Call))


@dataclass(frozen=True)
class _Call:
    """An addition as a layer's hook, under given tensors or, with None, under those that the layer holds."""

    addition: Addition
    tensors: Params | None

    def before(self, layer: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return self.addition.before(self._tensors(layer), given[0]), *given[1:]

    def __call__(self, layer: nn.Module, given: tuple[Any, ...], output: Tensor) -> Tensor:
        return self.addition(self._tensors(layer), given[0], output, layer.training)

    def _tensors(self, layer: nn.Module) -> Params:
        if self.tensors is not None:
            return self.tensors
        held = {**dict(layer.named_parameters()), **dict(layer.named_buffers())}
        return {f"{self.addition.layer}.{name}": leaf for name, leaf in held.items()}


def _hooked(layer: nn.Module, call: _Call) -> list[Any]:
    return [layer.register_forward_pre_hook(call.before), layer.register_forward_hook(call)]


def _holder(module: nn.Module, place: str) -> nn.Module:
    """The module at a dotted place, made where it is not there."""
    for part in place.split("."):
        if part not in dict(module.named_children()):
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    return module
