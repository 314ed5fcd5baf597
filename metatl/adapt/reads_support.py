"""Nets that are given support rows: whether they take these, and whether their answer has the right shape."""

from __future__ import annotations

import functools
import inspect
from typing import Any

from torch import Tensor, nn

from metatl.types import MetatlError


def check_classes(classes: int, most: int, bars: bool) -> None:
    """Refuse more classes than a net was trained for, and bars, which are of real values."""
    if bars:
        raise MetatlError("InContext: bars are weights of real values, and targets are classes; leave them")
    if classes > most:
        raise MetatlError(f"{classes} classes, and the net was trained for at most {most}; train it on more")


def as_outputs(output: Any, rows: int, outputs: int, first: bool) -> Tensor:
    """[rows, outputs], the first outputs of more where `first`; raises MetatlError for any other shape."""
    if first and isinstance(output, Tensor) and output.dim() == 2:
        output = output[:, :outputs]
    if not isinstance(output, Tensor) or output.shape != (rows, outputs):
        shape = list(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise MetatlError(
            f"InContext: the net gives {shape} for {rows} rows and {outputs} outputs; its "
            "forward(support_x, support_y, x) must give [n, outputs] for the rows x"
        )
    return output


@functools.cache
def check_reads(made: type[nn.Module]) -> None:
    """Raise MetatlError for a module whose forward takes no support rows."""
    taken = inspect.signature(made.forward).parameters.values()
    names = {one.name for one in taken}
    if not {"support_x", "support_y"} <= names and not any(one.kind is one.VAR_KEYWORD for one in taken):
        raise MetatlError(
            f"InContext: {made.__name__} reads no support rows; its forward must take support_x, support_y "
            "and x, as that of InContextTransformer does"
        )
