"""Matrices that an npz file holds by their entries other than zero."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import sparse

from metatl.data.bounds import check_bytes
from metatl.data.tables.columns import Array
from metatl.types import MetatlError

_LAYOUTS = {"csr": sparse.csr_array, "csc": sparse.csc_array}
_ENTRIES, _SIZES = ("data", "values"), ("shape", "n_features", "n_columns")


def with_dense(arrays: dict[str, Array], where: str) -> dict[str, Array]:
    """The same arrays with a matrix `x` [n, k] in place of a compressed one.

    `indptr`, `indices` and `data` (or `values`) are what scipy.sparse holds: of row i (CSR; of column i where
    `format` is csc) entries indptr[i] to indptr[i + 1], each with its column. The width is that of `shape` or
    `n_features`, else the largest column and one. Raises MetatlError where they do not fit together, or are
    more than this machine has room for.
    """
    entries = next((name for name in _ENTRIES if name in arrays), None)
    if entries is None or not {"indptr", "indices"} <= {*arrays}:
        return arrays
    layout = _layout(arrays.get("format"))
    used = {"indptr", "indices", entries, "format", *_SIZES}
    rest = {name: array for name, array in arrays.items() if name not in used}
    if layout not in _LAYOUTS or "x" in rest:
        raise MetatlError(
            f"{where}: indptr and indices are read as the CSR or CSC parts of one matrix x alone"
        )
    try:
        parts = (arrays[entries], *(arrays[name].astype(np.int64) for name in ("indices", "indptr")))
        held: Any = _LAYOUTS[layout](parts, shape=_shape(arrays))
        held.check_format(full_check=True)
        check_bytes(math.prod(held.shape) * 8)
        return {"x": held.toarray(), **rest}
    except (TypeError, ValueError, IndexError, OverflowError) as error:
        reason = str(error).splitlines()[0][:200]
        raise MetatlError(
            f"{where}: indptr, indices and {entries} are no {layout.upper()} matrix ({reason})"
        ) from error


def _layout(given: Array | None) -> str:
    if given is None:
        return "csr"
    said: Any = given.item() if given.size == 1 else ""
    return said.decode("ascii", "replace") if isinstance(said, bytes) else str(said)


def _shape(arrays: dict[str, Array]) -> tuple[int, int] | None:
    """Rows and columns, if the file says them."""
    if "shape" in arrays and arrays["shape"].shape == (2,):
        rows, columns = arrays["shape"].tolist()
        return int(rows), int(columns)
    name = next((name for name in _SIZES[1:] if name in arrays and arrays[name].size == 1), None)
    return None if name is None else (arrays["indptr"].size - 1, int(arrays[name].item()))
