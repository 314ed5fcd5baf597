"""What torch can record of a function of tensors, and whether it recorded the right thing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx

from metatl.engines.fast.graph import GraphRecorder, Layout
from metatl.recorded import is_random, recorded, reshaped
from metatl.types import MetatlError


class UnrecordedError(MetatlError):
    """Torch cannot follow a function's operations without their values."""


def close(a: Any, b: Any) -> bool:
    """Whether two outputs are the same up to rounding, which simplifying changes."""
    if not isinstance(a, Tensor) or not a.is_floating_point():
        return bool(torch.equal(a, b)) if isinstance(a, Tensor) else a == b
    return a.shape == b.shape and bool((a - b).nan_to_num().norm() <= 1e-3 * a.nan_to_num().norm() + 1e-30)


def followed(run: Callable[..., Any], flat: list[Any]) -> tuple[fx.GraphModule, list[Layout]]:
    """The operations of run(*flat) and where their results lie; UnrecordedError where torch cannot follow."""
    try:
        graph = recorded(run, flat)
        try:
            notes = GraphRecorder.run_once(graph, flat)
        except RuntimeError:  # strides are not always those that torch foretold, which a view minds
            reshaped(graph.graph)
            graph.recompile()
            notes = GraphRecorder.run_once(graph, flat)
    except RuntimeError as error:
        first = str(error).strip().splitlines()[0]
        raise UnrecordedError(
            f"this net's operations cannot be recorded ({first}); leave `compile` out"
        ) from error
    return graph, list(notes.layouts.values())


def check(graph: fx.GraphModule, run: Callable[..., Any], flat: list[Any]) -> None:
    """Raise UnrecordedError unless the operations give what `run` gives; nothing is asked of random ones."""
    if any(is_random(node) for node in graph.graph.nodes):
        return
    with torch.no_grad():
        ours = graph(*flat)
    if not all(close(a, b) for a, b in zip(run(*flat), ours, strict=True)):
        raise UnrecordedError("this net's operations were recorded wrongly by torch; leave `compile` out")
