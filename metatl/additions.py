"""Calls that are added at a net's layers, with weights of their own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from torch import Tensor, nn

from metatl.types import Params


class Addition(ABC):
    """What a transform adds to a layer's output, from weights that are named in the transfer and are its own.

    The layer's own weights stay as they are, so that what is added is never made into a whole matrix.
    """

    layer: str
    """Dotted name of the layer."""

    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The weights that it reads."""

    @abstractmethod
    def __call__(self, params: Params, x: Tensor, output: Tensor) -> Tensor:
        """The layer's output with the addition, from what went in and what came out."""


def without(additions: Sequence[Addition], params: Params) -> Params:
    """The module's own weights: those that no addition reads."""
    if not additions:
        return params
    theirs = {name for addition in additions for name in addition.names()}
    return {name: leaf for name, leaf in params.items() if name not in theirs}


@contextmanager
def added(module: nn.Module, additions: Sequence[Addition], params: Params) -> Generator[None]:
    """Inside it the module's layers give their output with the additions under these weights."""
    hooks = [
        module.get_submodule(addition.layer).register_forward_hook(_call(addition, params))
        for addition in additions
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _call(addition: Addition, params: Params) -> Callable[..., Tensor]:
    return lambda _, given, output: addition(params, given[0], output)
