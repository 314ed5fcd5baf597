"""One's own x and y, checked in one place: what values mean, how channels lie, what a target is.

Inputs. Bytes (uint8) are pixels and mean value / 255. Unsigned 16 bits with three or more axes are pixels too
and mean value / 65535. Every other integer stays an integer (int64): token ids, counts. Floats and booleans
are float32. Three axes of pixels [n, h, w] become [n, 1, h, w].

Four axes are pictures. Channels lie last where the last axis is the shortest, at most 4, and the first after
the examples is neither 1 nor 3; they are put first then. Where the last axis is the shortest and longer than
4, nobody can tell (13 bands last, or 64 maps first?), and `channels` has to say. All other shapes have
channels first.

Targets. Floats are real targets, whatever holds them. Integers, booleans and strings are class labels: one a
row [n], or one a pixel [n, h, w]. Rows of two booleans or more [n, k] are several labels at once, each yes or
no; rows of integers could be those or one-hot, and are refused.
"""

from __future__ import annotations

from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from metatl.types import MetatlError

Array = np.ndarray[Any, Any]
Channels = Literal["first", "last"]
_FEW = 4


def as_inputs(
    x: Any, where: str = "", channels: Channels | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """x [n, ...] as a net sees it: floats of `dtype`, or int64; a copy, on the CPU.

    Raises MetatlError, with `where` in front, for what is no array of numbers, one axis alone, a value that
    is not finite (in `dtype` either), and channels that nobody can place.
    """
    stored, scale = stored_inputs(as_array(x, where + "x"), where, channels, dtype)
    inputs = torch.from_numpy(stored.copy())
    if inputs.dtype == torch.int64:
        return inputs
    inputs = inputs.to(dtype).mul_(scale)
    return _finite(inputs, f"{where}example {{}} of x holds a value that is not finite")


def stored_inputs(
    x: Array, where: str = "", channels: Channels | None = None, dtype: torch.dtype = torch.float32
) -> tuple[Array, float]:
    """x as a bank stores it (uint8, int64 or float), and the factor that decodes it; MetatlError as there."""
    if x.ndim < 2:
        raise MetatlError(f"{where}x has shape {x.shape}; it needs [n, ...], a row for each example")
    kind, size = x.dtype.kind, x.dtype.itemsize
    if kind not in "biuf":
        raise MetatlError(f"{where}x holds {x.dtype} values; give numbers")
    pixels = kind == "u" and (size == 1 or (size == 2 and x.ndim > 2))
    x = x[:, None] if pixels and x.ndim == 3 else channels_first(x, where, channels)
    if pixels:
        return (x, 1 / 255) if size == 1 else ((x / 65535).astype(np.float32), 1.0)
    if kind in "iu":
        if kind == "u" and size == 8 and x.size and x.max() > np.iinfo(np.int64).max:
            raise MetatlError(f"{where}x holds integers above 2^63 - 1; give smaller ones")
        return x.astype(np.int64), 1.0
    with np.errstate(over="ignore"):  # what the type cannot hold is infinite, and refused below
        floats = x.astype(np.float64 if dtype == torch.float64 else np.float32)
    _finite(torch.from_numpy(floats), f"{where}example {{}} of x holds a value that is not finite")
    return floats, 1.0


def channels_first(x: Array, where: str = "", channels: Channels | None = None) -> Array:
    """Pictures [n, ., ., .] with their channels first, by the rule above; other shapes as they are."""
    if x.ndim != 4 or channels == "first":
        return x
    first, middle, last = x.shape[1:]
    shortest = last < min(first, middle) and first not in (1, 3)
    if channels is None and shortest and last > _FEW:
        raise MetatlError(
            f"{where}x has shape {x.shape}: {last} channels last, or {first} first? Turn it by "
            "x.transpose(0, 3, 1, 2), or say channels='first'"
        )
    turned = channels == "last" or shortest
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if turned else x


def as_targets(
    y: Any, where: str = "", dtype: torch.dtype = torch.float32
) -> tuple[Tensor, list[Any] | None]:
    """Class labels as (places [n] int64, distinct labels in order); other targets as (values [n, d], None).

    The label of row i is labels[places[i]], of its pixels too: places [n, h, w]. Values are floats of `dtype`
    (real targets), or booleans (several labels). Raises MetatlError, with `where` in front, for missing or
    non-finite values, labels of mixed kinds, rows of integers (one-hot, say) and what is no list or array.
    """
    if isinstance(y, str | bytes | dict | set) or not hasattr(y, "__len__"):
        raise MetatlError(f"{where}y is a {type(y).__name__}; give a list or an array, a target for each row")
    if not isinstance(y, Tensor) and not hasattr(y, "__array__"):
        return _from_values(list(y), where, dtype)
    return _from_array(as_array(y, where + "y", "biufUSOM"), where, dtype)


def as_labels(y: Any, where: str = "") -> tuple[Tensor, list[Any]]:
    """One class label a row, as `as_targets` gives them; raises MetatlError for all other targets too."""
    places, labels = as_targets(y, where)
    if labels is None:
        kind = "several labels a row" if places.dtype == torch.bool else "real values"
        raise MetatlError(f"{where}y holds {kind}; labels are integers or strings, one a row")
    if places.dim() > 1:
        raise _many_axes(tuple(places.shape), where)
    return places, labels


def _from_array(array: Array, where: str, dtype: torch.dtype) -> tuple[Tensor, list[Any] | None]:
    if array.dtype.kind == "f":
        return _real(array, where, dtype), None
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.dtype.kind == "b" and array.shape[1]:
        return torch.from_numpy(array.copy()), None
    if array.ndim in (0, 2):
        raise _many_axes(array.shape, where)
    if array.dtype.kind in "OM":
        return _from_values(cast("list[Any]", array.tolist()), where, dtype)
    labels, places = np.unique(array, return_inverse=True)
    return torch.from_numpy(places.reshape(array.shape).astype(np.int64)), cast("list[Any]", labels.tolist())


def as_array(values: Any, name: str, kinds: str = "biuf") -> Array:
    """Anything like an array as one; MetatlError for ragged rows, masked values and values of other kinds."""
    if np.ma.is_masked(values):
        raise MetatlError(f"{name} has masked values; fill them, or leave such rows out")
    try:
        if isinstance(values, list | tuple) and any(isinstance(one, Tensor) for one in values):
            values = [as_array(one, name, kinds) for one in cast("list[Any]", values)]
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            values = values.float().numpy() if values.dtype == torch.bfloat16 else values.numpy()
        array: Array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MetatlError(f"{name} is no array: its rows differ in shape, or hold no numbers") from error
    if array.dtype.kind not in kinds:
        raise MetatlError(
            f"{name} holds {array.dtype} values; give numbers, and integers or strings as labels"
        )
    return array


def _from_values(values: list[Any], where: str, dtype: torch.dtype) -> tuple[Tensor, list[Any] | None]:
    """Targets from Python's own values, or scalars of numpy and torch."""
    values = [one.item() if hasattr(one, "item") and getattr(one, "ndim", 0) == 0 else one for one in values]
    for place, one in enumerate(values):
        if one is None or type(one).__name__ in ("NAType", "NaTType"):
            raise MetatlError(f"{where}y has no target for row {place} ({one}); leave such rows out")
    if values and all(hasattr(one, "__len__") and not isinstance(one, str | bytes) for one in values):
        return _from_array(as_array(values, where + "y"), where, dtype)
    kinds = {type(one) for one in values}
    if float in kinds and kinds <= {int, float}:
        return _real(np.array(values, np.float64), where, dtype), None
    if len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise MetatlError(f"{where}y mixes {names}; give labels of one kind")
    try:
        labels = sorted(set(values))
    except TypeError as error:
        name = next(iter(kinds)).__name__
        raise MetatlError(f"{where}y holds {name} values; give integers, strings or booleans") from error
    places = {label: place for place, label in enumerate(labels)}
    return torch.tensor([places[one] for one in values], dtype=torch.int64), labels


def _real(values: Array, where: str, dtype: torch.dtype) -> Tensor:
    """Real targets [n] or [n, d] as [n, d]."""
    if values.ndim not in (1, 2) or (len(values) and not values.size):
        raise MetatlError(f"{where}y has shape {values.shape}; real targets are [n] or [n, d]")
    wide = torch.from_numpy(values.astype(np.float64))
    targets = (wide if wide.dim() == 2 else wide[:, None]).to(dtype)
    return _finite(targets, f"{where}y holds a target that is not finite in row {{}}")


def _finite(values: Tensor, said: str) -> Tensor:
    """The values [n, ...], or MetatlError `said` with the first row that is not finite."""
    if not bool(values.isfinite().all()):
        rows = values.isfinite().flatten(1).all(1)
        raise MetatlError(said.format(int(rows.int().argmin())))
    return values


def _many_axes(shape: tuple[int, ...], where: str) -> MetatlError:
    return MetatlError(
        f"{where}y has shape {shape} of integers; give one label each row (of one-hot rows y.argmax(1)), "
        "booleans where several labels hold at once (y.astype(bool)), or floats as real targets"
    )
