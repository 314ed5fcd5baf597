"""One's own labelled arrays, checked and sorted by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from metatl.data.cache import NPZ_ERRORS, read_arrays
from metatl.types import MetatlError

Array = np.ndarray[Any, Any]


def labelled_arrays(
    x: Any, y: Any, names: Sequence[str] | None, where: str
) -> tuple[Array, list[int], tuple[str, ...], float]:
    """x sorted by class (uint8 or float32), the number in each class, class names, the scale that decodes x.

    Raises MetatlError, naming `where`, for lengths that differ, values that are no numbers, an empty class.
    """
    values, labels = _array(x, where), _array(y, where)
    if values.ndim < 2 or labels.ndim != 1 or len(values) != len(labels) or not len(labels):
        raise MetatlError(
            f"{where}: x has shape {values.shape} and y {labels.shape}; they need [n, ...] and [n], n > 0"
        )
    if names is None:
        if labels.dtype.kind == "f":
            raise MetatlError(f"{where}: y holds {labels.dtype} values; labels are integers or strings")
        kinds, index = np.unique(labels, return_inverse=True)
        called = tuple(map(str, kinds.tolist()))
    else:
        index, called = _places(labels, names, where), tuple(map(str, names))
    counts = np.bincount(index.reshape(-1), minlength=len(called))
    if not counts.all():
        raise MetatlError(
            f"{where}: class {called[int(counts.argmin())]!r} is empty: leave it out of the names"
        )
    decoded, scale = _decodable(values, where)
    order = np.argsort(index.reshape(-1), kind="stable")
    return decoded[order], counts.tolist(), called, scale


def npz_arrays(path: Path) -> tuple[Array, Array, list[str] | None]:
    """The arrays x and y of an npz file, and the names if it has any; MetatlError if it is not that."""
    held = read_npz(path)
    if "x" not in held or "y" not in held:
        raise MetatlError(f"{path}: needs the arrays x and y, and has {', '.join(held) or 'none'}")
    names = held.get("names")
    if names is not None and names.ndim != 1:
        raise MetatlError(f"{path}: names has shape {names.shape}; it needs [classes], a name each")
    return held["x"], held["y"], None if names is None else [str(name) for name in names.tolist()]


def read_npz(path: Path) -> dict[str, Array]:
    """Every array of an npz file; MetatlError in one line if it is missing, damaged or holds objects."""
    try:
        return read_arrays(path)
    except FileNotFoundError as error:
        raise MetatlError(f"{path}: no such file") from error
    except NPZ_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise MetatlError(f"{path}: is damaged or no npz file ({reason}); get it again") from error


def _array(values: Any, where: str) -> Array:
    array: Array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "biufUS":
        raise MetatlError(
            f"{where}: holds {array.dtype} values; give numbers, and integers or strings as labels"
        )
    return array


def _places(labels: Array, names: Sequence[str], where: str) -> Array:
    """Labels as positions in `names`, whether they are positions already or the names themselves."""
    if labels.dtype.kind in "US":
        places = {str(name): place for place, name in enumerate(names)}
        unknown = sorted(set(map(str, labels.tolist())) - set(places))
        if unknown:
            raise MetatlError(f"{where}: label {unknown[0]!r} is not among the names")
        return np.array([places[str(label)] for label in labels.tolist()])
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= len(names):
        raise MetatlError(
            f"{where}: with {len(names)} names the labels must be integers 0 .. {len(names) - 1}"
        )
    return labels.astype(np.int64)


def _decodable(x: Array, where: str) -> tuple[Array, float]:
    """x as the bank stores it, and the scale that decodes it."""
    if x.dtype == np.uint8 and x.ndim == 3:
        return x[:, None], 1 / 255
    if x.dtype == np.uint8:
        channels_last = x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3)
        return (np.ascontiguousarray(x.transpose(0, 3, 1, 2)) if channels_last else x), 1 / 255
    if x.dtype.kind not in "biuf":
        raise MetatlError(f"{where}: x holds {x.dtype} values; give numbers")
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused below
        decoded = x.astype(np.float32)
    broken = ~np.isfinite(decoded.reshape(len(x), -1)).all(1)
    if broken.any():
        raise MetatlError(f"{where}: example {int(broken.argmax())} of x holds a value that is not finite")
    return decoded, 1.0
