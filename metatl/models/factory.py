"""A net that a named function makes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, final

from torch import nn

from metatl import importing
from metatl.types import MetatlError

_TOLD = {"timm": ("num_classes", "in_chans"), "torchvision": ("num_classes", None)}
"""By package, how its functions are told the outputs and the channels of a picture."""


@final
class Factory(nn.Module):
    """What a function gives that says it makes a net: `def make(shape, outputs, width=8) -> nn.Module`.

    Functions of timm and torchvision are told the outputs, and timm's the channels, under their own names.

    Args:
        path: dotted path of the function, timm.create_model say.
        arguments: further ones, {"model_name": "resnet18"} say.

    Raises MetatlError for a function whose return type is no nn.Module, before it is called, and for what is
    none although it says so.
    """

    def __new__(  # pyright: ignore[reportInconsistentConstructor]
        cls, shape: tuple[int, ...], outputs: int, path: str, arguments: dict[str, Any] | None = None
    ) -> nn.Module:
        """The net itself: nothing is wrapped around it."""
        function = importing.found(path)
        if not makes_nets(function):
            raise MetatlError(f"{path} is no function that says it makes a net; {_mended(path, function)}")
        given = _given(function, shape, outputs, arguments or {})
        module = function(**given)
        if not isinstance(module, nn.Module):
            raise MetatlError(f"{path} gives a {type(module).__name__}, not an nn.Module")
        return module


def makes_nets(function: Any) -> bool:
    """Whether this is a function of Python whose return annotation is a class of nets; it is not called."""
    if not inspect.isfunction(function):
        return False
    said = inspect.signature(function).return_annotation
    if isinstance(said, str):  # postponed
        first, *rest = said.split(".")
        said = function.__globals__.get(first)
        for name in rest:
            said = getattr(said, name, None)
    return inspect.isclass(said) and issubclass(said, nn.Module)


def _mended(path: str, function: Any) -> str:
    """How a function comes to say it: one's own by its annotation, somebody else's by one's own around it."""
    name = path.rpartition(".")[2]
    if importing.is_own(getattr(getattr(function, "__code__", None), "co_filename", None)):
        return f"write what it returns: def {name}(...) -> nn.Module"
    return (
        "name a function of your own that calls it: def make(shape, outputs) -> nn.Module: "
        f"return {name}(...)"
    )


def _given(
    function: Any, shape: tuple[int, ...], outputs: int, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    classes, channels = _TOLD.get(function.__module__.partition(".")[0], (None, None))
    if classes is None:
        return {"shape": shape, "outputs": outputs, **arguments}
    told = {classes: outputs} | ({channels: shape[0]} if channels else {})
    return {**told, **arguments}
