"""Targets that Python holds: classes of any kind, several labels at once, real values."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from metatl.data.tables.arrays import as_numpy
from metatl.data.tables.columns import Array
from metatl.data.targets import MOST, Targets
from metatl.types import MetatlError


def class_targets(y: Any) -> tuple[Targets, Array]:
    """Classes [n] or several labels [n, k] (booleans, or 0 and 1), and the classes or labels as given.

    Raises MetatlError for real numbers, missing values, one class only, and values that do not compare.
    """
    array = _array(y)
    if array.ndim == 2 and array.shape[1] > 1:
        return _labels(array, y)
    array = array.reshape(-1) if array.ndim == 2 else array
    if array.dtype.kind == "f" and not (array == np.round(array)).all():
        raise MetatlError("Unknown label type: continuous values are no classes; use Regressor")
    try:
        classes, places = np.unique(array, return_inverse=True)
    except TypeError as error:
        raise MetatlError(
            "Unknown label type: classes of several kinds, or missing; give one kind"
        ) from error
    names = tuple(map(str, classes.tolist()))
    if len({*names}) < len(names):
        raise MetatlError("two classes are written alike (1 and '1', say); give labels of one kind")
    if len(names) < 2:
        raise MetatlError(f"one class only ({', '.join(names) or 'none'}); give two classes or more")
    return Targets("classes", names, torch.from_numpy(places.reshape(-1).astype(np.int64))), classes


def real_targets(y: Any) -> Targets:
    """Real values [n] or [n, d]; MetatlError for others, and for such as are not finite."""
    array = _array(y)
    if array.dtype.kind not in "fiub":
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise MetatlError("Unknown label type: real targets are numbers; use Classifier") from error
    values = torch.from_numpy(array.reshape(len(array), -1).astype(np.float64))
    if not bool((values.abs() <= MOST).all()):
        raise MetatlError("y holds NaN, infinity or a value beyond 3e38; leave these rows out, or scale it")
    names = _names(y, values.shape[1]) if values.shape[1] > 1 else ("target",)
    return Targets("real", names, values)


def as_given(y: Any) -> Array:
    """Labels as an array; objects that are all numbers of one type are numbers."""
    array = as_numpy(y)
    if array.dtype.kind == "O" and array.size and len({type(one) for one in array.flat}) == 1:
        plain = np.array(array.tolist())
        array = plain if plain.dtype.kind in "iufb" and plain.shape == array.shape else array
    return array


def _labels(array: Array, y: Any) -> tuple[Targets, Array]:
    plain = array.astype(object).astype(str) if array.dtype.kind == "O" else array
    if plain.dtype.kind not in "biuf" or not np.isin(plain, (0, 1)).all():
        raise MetatlError(
            f"y is {list(array.shape)}: several labels are columns of booleans, or 0 and 1; these are others"
        )
    names = _names(y, array.shape[1])
    own = np.array(names) if hasattr(y, "columns") else np.arange(array.shape[1])
    return Targets("labels", names, torch.from_numpy(plain.astype(np.bool_))), own


def _names(y: Any, count: int) -> tuple[str, ...]:
    return tuple(map(str, y.columns)) if hasattr(y, "columns") else tuple(map(str, range(count)))


def _array(y: Any) -> Array:
    if y is None:
        raise MetatlError("fit requires y to be passed, but the target y is None")
    array = as_numpy(y)
    if isinstance(y, list | tuple) and array.dtype.kind == "O" and all(isinstance(one, str) for one in y):
        array = array.astype(np.str_)
    array = as_given(array)
    if array.dtype.kind == "c":
        raise MetatlError("Complex data not supported: give real targets")
    if array.dtype.kind == "S" or (
        array.dtype.kind == "O" and any(isinstance(one, bytes) for one in array.flat)
    ):
        raise MetatlError("Unknown label type: these are bytes; decode them to text")
    if array.ndim not in (1, 2) or not array.size:
        raise MetatlError(f"y has shape {list(array.shape)}; it needs [n], or [n, targets]")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise MetatlError("y holds NaN or infinity; leave these rows out")
    return array
