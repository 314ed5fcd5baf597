"""A loss of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from torch import Tensor

from metatl import importing
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class Own(Term):
    """weight * mean over rows of a loss of one's own, (output, y) -> [n] or 0-d.

    It is called under vmap and differentiated twice: torch's operations, and no look at values. One that
    gives a value for every row respects row weights; one that gives a single number refuses them.

    Args:
        loss: dotted name of the function, `my_losses.tilted` say.
        weight: factor.
    """

    loss: str
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Raise MetatlError for a name that leads to no function, or may not be imported."""
        _ = self.function

    @cached_property
    def function(self) -> Callable[[Any, Any], Tensor]:
        """The function, (output [n, outputs], y) -> loss [n] or 0-d."""
        try:
            found = importing.found(self.loss)
        except (ImportError, AttributeError, ValueError) as error:
            said = f"Own: {self.loss!r} cannot be imported ({error}); give module.function"
            raise MetatlError(said) from error
        if not callable(found):
            raise MetatlError(f"Own: {self.loss!r} is no function (output, y) -> loss; name one")
        return cast("Callable[[Any, Any], Tensor]", found)

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError for what is no tensor, neither [n] nor 0-d."""
        values = self.function(output, batch.y)
        rows = len(output) if isinstance(output, Tensor) else len(next(iter(output.values())))
        if not isinstance(values, Tensor) or (values.dim() and values.shape[0] != rows):
            shape = list(values.shape) if isinstance(values, Tensor) else type(values).__name__
            raise MetatlError(
                f"{self.loss} gives {shape} for {rows} rows; give a loss for each, or one number"
            )
        if values.dim():
            return self.weight * mean_over_rows(
                values.flatten(1) if values.dim() > 1 else values[:, None], batch.weight
            )
        if batch.weight is not None:
            raise MetatlError(
                f"{self.loss} gives one number, and rows have weights; give a loss for each row"
            )
        return self.weight * values
