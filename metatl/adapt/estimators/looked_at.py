"""Rows that come to an estimator of a source, looked at before it goes on with them."""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from metatl.adapt.estimators.forest import Array
from metatl.types import MetatlError


def inputs(name: str, x: Any, width: int) -> Array:
    """Rows x [n, width] in single precision, as trees read them; MetatlError for other ones, and for gaps."""
    try:
        with np.errstate(over="ignore"):
            found = np.asarray(x, np.float32)
    except (TypeError, ValueError) as error:
        raise MetatlError(
            f"{name}: rows are no numbers ({error}); encode them as the source's were"
        ) from error
    if found.ndim != 2 or found.shape[1] != width:
        raise MetatlError(
            f"{name}: rows are {list(found.shape)}, and the source's were [n, {width}]; give the same columns"
        )
    if not np.isfinite(found).all():
        raise MetatlError(f"{name}: rows hold NaN or infinite values; fill them in as the source's were")
    return found


def targets(name: str, y: Any, rows: int, classes: Any) -> Array:
    """Targets y [rows]; classes: those of the source, None where its targets are real values.

    Raises MetatlError for other shapes, values that are none, real values in the place of classes, and texts
    beside numbers.
    """
    found = np.asarray(y)
    if found.shape != (rows,) or not rows:
        raise MetatlError(
            f"{name}: {rows} rows and targets {list(found.shape)}; give one or more, one of each"
        )
    kind, known = found.dtype.kind, np.asarray(classes).dtype.kind
    if kind == "O":
        values: list[Any] = cast(list[Any], found.tolist())
        if not all(isinstance(value, str) for value in values):
            raise MetatlError(f"{name}: targets are objects; give texts, or numbers")
        kind = "U"
    if kind == "f" and not np.isfinite(found).all():
        raise MetatlError(f"{name}: targets hold NaN or infinite values; leave these rows out")
    if classes is not None and kind == "f" and (found != found.round()).any():
        raise MetatlError(
            f"{name}: targets are real values, and the source's are classes; ContinuedBoosting of a "
            "regressor takes real ones"
        )
    texts = kind in "US", known in "USO" and classes is not None
    if texts[0] != texts[1]:
        said = [("numbers", "texts")[text] for text in texts]
        raise MetatlError(
            f"{name}: targets are {said[0]}, and the source's {said[1]}; call the classes alike in both"
        )
    return found
