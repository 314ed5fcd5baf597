"""What an engine differentiates: one task's loss as a function of named variables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from typing import Any

from torch import Tensor

from metatl.net import Net
from metatl.types import Metrics, Params


class Loss(ABC):
    """loss(variables, held, task) -> 0-d, of one task.

    An engine may call it for many tasks at once (vmap), or record a call and replay it with other numbers: a
    loss reads no values (`.item()`, a branch on a tensor), and whatever tensors it depends on beside its
    variables and the task are `held`, nested tuples and dicts that are handed back in every call.
    """

    twice: bool = False
    """Whether it takes gradients itself (of an inner loop), so that its own is a second derivative."""

    @property
    def held(self) -> Any:
        """The tensors that are no variables."""
        return ()

    def through(self) -> Net | None:
        """The net whose passes it consists of; None for a loss without one."""
        return None

    @abstractmethod
    def __call__(self, variables: Params, held: Any, task: Any) -> tuple[Tensor, Metrics]:
        """The loss, 0-d, and metrics, 0-d and detached."""

    def key(self) -> Hashable:
        """What tells it from other losses beside the shapes of its tensors: a recording is kept by it.

        By identity: an engine keeps the loss alive beside its recording.
        """
        return id(self)

    def words(self) -> str:
        """What it is, in words that an equal loss says too: a choice of engine is kept by them."""
        return repr(self.key())

    def ready(self, ready: Callable[[Net], Net]) -> Loss:
        """The same loss through the net as an engine runs it fastest."""
        return self

    def probe(self, variables: Params, task: Any, rows: int | None = None) -> Any:
        """A call that stands for the size of its passes: over the task's first `rows` rows, where it can."""
        return self(variables, self.held, task)

    def passed_rows(self, task: Any) -> int:
        """Rows of one task that pass the net with a derivative, every pass counted."""
        return 0
