"""What goes into some of a module's layers while it is called."""

from __future__ import annotations

from collections.abc import Collection, Generator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from metatl.errors import MetatlError


@contextmanager
def inputs_into(module: nn.Module, names: Collection[str]) -> Generator[dict[str, Tensor]]:
    """The first argument of the last call of each of these layers, by name, when the block is over.

    Raises MetatlError for a layer that was not called.
    """
    seen = dict[str, Tensor]()

    def note(name: str) -> Any:
        def before(_: nn.Module, given: tuple[Any, ...]) -> None:
            seen[name] = given[0]

        return before

    hooks = [module.get_submodule(name).register_forward_pre_hook(note(name)) for name in names]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
    if missing := {*names} - seen.keys():
        raise MetatlError(f"a pass does not call the layer '{min(missing)}'; name another")
