"""Somebody's examples as a net takes them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor

from metatl import tree
from metatl.data.checked import as_array, as_inputs, channels_first
from metatl.net import Net
from metatl.types import MetatlError, Transfer


def inputs_for(
    net: Net,
    transfer: Transfer,
    x: Any,
    shape: tuple[int, ...] | None = None,
    given: Callable[[Any], Any] = lambda rows: rows,
) -> Any:
    """Examples x [n, ...] in the type, the layout and on the device that the net takes.

    Integers stay integers where the net takes them, and become floats where it does not. shape: of one
    example, where it is known; given: what a pass is given for some of the rows. Of a mapping each array is
    taken as it is, floats in the type of the weights. Raises MetatlError for other shapes, for a mapping of
    unlike numbers of rows, and for what the net does not take.
    """
    like = next(iter(transfer.params.values()))
    if isinstance(x, Mapping):
        named = _named(cast(Mapping[str, Any], x), like)
        if said := _refusal(net, transfer, named, given):
            raise MetatlError(f"the net does not take such inputs ({', '.join(named)}): {said}")
        return named
    rows = as_array(x, "x")
    inputs = as_inputs(rows, "", _channels(rows, shape), like.dtype).to(like.device)
    if tuple(rows.shape[1:]) == shape:
        inputs = inputs.view(rows.shape)  # greys without an axis of channels, if that is the shape
    if shape is not None and tuple(inputs.shape[1:]) != shape:
        raise MetatlError(f"examples have shape {tuple(inputs.shape[1:])}; this model takes {shape}")
    said = _refusal(net, transfer, inputs, given)
    if said and inputs.dtype == torch.int64 and not _refusal(net, transfer, inputs.to(like.dtype), given):
        return inputs.to(like.dtype)
    if said:
        kind = "integers" if inputs.dtype == torch.int64 else "numbers"
        raise MetatlError(
            f"the net does not take examples of shape {tuple(inputs.shape[1:])} ({kind}): {said}"
        )
    return inputs


def rows_given(x: Any) -> int:
    """How many examples there are: rows of the first array of a mapping; 0 of what has no length."""
    one = next(iter(cast(Mapping[str, Any], x).values()), ()) if isinstance(x, Mapping) else x
    return len(one) if hasattr(one, "__len__") else 0


def _named(x: Mapping[str, Any], like: Tensor) -> dict[str, Tensor]:
    """The arrays of a mapping as tensors, floats in the type of the weights; MetatlError for unlike rows."""
    found = dict[str, Tensor]()
    for name, values in x.items():
        leaf = torch.from_numpy(as_array(values, f"x[{name!r}]").copy())
        if not leaf.dim():
            raise MetatlError(f"x[{name!r}] is a single number; it needs a row for each example")
        if leaf.is_floating_point() and not bool((leaf := leaf.to(like.dtype)).isfinite().all()):
            raise MetatlError(f"x[{name!r}] holds a value that is not finite")
        found[name] = leaf.to(like.device)
    if len({len(leaf) for leaf in found.values()}) != 1:
        counts = ", ".join(f"{name} {len(leaf)}" for name, leaf in found.items()) or "none"
        raise MetatlError(f"x needs as many rows under each name; they are {counts}")
    return found


@contextmanager
def within_vocabulary(x: Any) -> Generator[None]:
    """Where x holds integers, an index that the net has no row for becomes a MetatlError."""
    try:
        yield
    except IndexError as error:
        whole = [leaf for leaf in tree.leaves(x) if leaf.dtype == torch.int64]
        if not whole:
            raise
        least, most = min(int(leaf.min()) for leaf in whole), max(int(leaf.max()) for leaf in whole)
        raise MetatlError(f"x holds integers {least} to {most}; the net has no row for some") from error


def _channels(x: Any, shape: tuple[int, ...] | None) -> Any:
    """Where channels lie, as far as the known shape of one example says it."""
    if shape is None or x.ndim != 4:
        return None
    if tuple(x.shape[1:]) == shape:
        return "first"
    return "last" if tuple(channels_first(x, "", "last").shape[1:]) == shape else None


def _refusal(net: Net, transfer: Transfer, x: Any, given: Callable[[Any], Any]) -> str:
    """What the net says to two such rows, in one line, where it does not take them."""
    if not tree.rows(x):
        return ""
    try:
        with torch.no_grad():
            net(transfer.params, transfer.buffers, given(tree.apply(_two, x)))
    except Exception as error:  # somebody's module may raise anything
        if isinstance(error, IndexError) and any(leaf.dtype == torch.int64 for leaf in tree.leaves(x)):
            return ""  # it takes integers, though not these: said where all of them are seen
        return " ".join((str(error).splitlines() or [type(error).__name__])[0].split())[:200]
    return ""


def _two(rows: Tensor) -> Tensor:
    return torch.cat([rows[:2], rows[:2]])[:2]


def carried_targets(
    target: Tensor, labels: list[Any] | None, carried: int
) -> tuple[Tensor, list[Any] | None]:
    """Targets [n] for an output layer with so many rows; MetatlError for those that it has no row for."""
    if labels is None:
        if target.shape[1] != carried:
            raise MetatlError(
                f"targets have {target.shape[1]} values each; this transfer gives {carried} (give class "
                "labels as integers)"
            )
        return target, None
    if any(not isinstance(label, int) or not 0 <= label < carried for label in labels):
        raise MetatlError(
            f"this transfer carries its output layer: labels are 0 to {carried - 1} (give real targets as "
            "floats)"
        )
    return torch.tensor(labels)[target].long(), list(range(carried))
