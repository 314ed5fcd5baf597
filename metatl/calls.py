"""Other functions in place of torch's own, wherever they are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.overrides import TorchFunctionMode

Calls = Mapping[Callable[..., Any], Callable[..., Any]]
"""torch's function -> what runs in its place, with the same arguments."""


class Instead(TorchFunctionMode):
    """`with Instead(calls):` the table's functions run in place of torch's, in modules and hooks too."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """What the table has for the function, or the function as it is."""
        return self._calls.get(func, func)(*args, **(kwargs or {}))
