"""One's own labelled arrays, checked and sorted by class."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from metatl.data.cache import NPZ_ERRORS, names_of, read_arrays
from metatl.data.checked import Channels, as_array, as_labels, stored_inputs
from metatl.types import MetatlError

Array = np.ndarray[Any, Any]


def labelled_arrays(
    x: Any, y: Any, names: Sequence[str] | None, where: str, channels: Channels | None = None
) -> tuple[Array, list[int], tuple[str, ...], float]:
    """x sorted by class (uint8, int64 or float32), class sizes, class names, the scale that decodes x.

    Raises MetatlError, naming `where`, for lengths that differ, values that are no numbers, an empty class,
    and whatever `checked` refuses.
    """
    values = as_array(x, f"{where}: x")
    places, labels = as_labels(y, f"{where}: ")
    if values.ndim < 2 or len(values) != len(places) or not len(places):
        shape = tuple(places.shape)
        raise MetatlError(
            f"{where}: x has shape {values.shape} and y {shape}; they need [n, ...] and [n], n > 0"
        )
    if names is None:
        index, called = places.numpy(), tuple(map(str, labels))
    else:
        index, called = _places(labels, names, where)[places.numpy()], tuple(map(str, names))
    counts = np.bincount(index, minlength=len(called))
    if not counts.all():
        raise MetatlError(
            f"{where}: class {called[int(counts.argmin())]!r} is empty: leave it out of the names"
        )
    decoded, scale = stored_inputs(values, f"{where}: ", channels)
    return decoded[np.argsort(index, kind="stable")], counts.tolist(), called, scale


def npz_arrays(path: Path) -> tuple[Array, Array, list[str] | None]:
    """The arrays x and y of an npz file, and the names if it has any; MetatlError if it is not that."""
    held = read_npz(path, ("x", "y", "names"))
    if "x" not in held or "y" not in held:
        raise MetatlError(f"{path}: needs the arrays x and y, and has {array_names(path)}")
    names = held.get("names")
    if names is not None and names.ndim != 1:
        raise MetatlError(f"{path}: names has shape {names.shape}; it needs [classes], a name each")
    return held["x"], held["y"], None if names is None else [str(name) for name in names.tolist()]


def read_npz(path: Path, wanted: Collection[str] | None) -> dict[str, Array]:
    """The wanted arrays of an npz file that are there, all for None; no other is unpacked.

    Raises MetatlError in one line if the file is missing, damaged, holds objects, or unpacks to more than
    this machine has room for (see `bounds`).
    """
    try:
        return read_arrays(path, wanted)
    except FileNotFoundError as error:
        raise MetatlError(f"{path}: no such file") from error
    except NPZ_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise MetatlError(f"{path}: is damaged or no npz file ({reason}); get it again") from error


def array_names(path: Path) -> str:
    """The names of all arrays of an npz file that was read, for a line on one that is missing."""
    return ", ".join(names_of(path))[:300] or "none"


def _places(labels: list[Any], names: Sequence[str], where: str) -> Array:
    """Where each label stands in `names`, whether labels are positions already or the names themselves."""
    if isinstance(labels[0], str):
        places = {str(name): place for place, name in enumerate(names)}
        unknown = [label for label in labels if label not in places]
        if unknown:
            raise MetatlError(f"{where}: label {unknown[0]!r} is not among the names")
        return np.array([places[label] for label in labels])
    if not isinstance(labels[0], int) or labels[0] < 0 or labels[-1] >= len(names):
        raise MetatlError(
            f"{where}: with {len(names)} names the labels must be integers 0 .. {len(names) - 1}"
        )
    return np.array(labels, np.int64)
