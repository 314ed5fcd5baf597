"""Arrays of several shapes as columns: a matrix has names for its width, and integers may number names."""

from __future__ import annotations

from collections import Counter

import numpy as np

from metatl.data.tables.columns import Array
from metatl.types import MetatlError

Arrays = dict[str, Array]


def as_columns(arrays: Arrays, where: str) -> tuple[Arrays, tuple[str, ...]]:
    """Columns [n] of arrays [n] and matrices [n, k]; notes.

    A matrix `x` gives the columns x0, x1, ..., or those that the only array of k different names gives. Of
    several matrices it is the only one that counts (the others are the same rows, seen otherwise); without an
    `x` each gives columns, `counts GENE` and so on. Integers 0 .. k - 1, or 1 .. k, become the names that an
    array of k names gives them: the one whose name is theirs and an s (`protocols` for `protocol`), `names`
    or `classes` for `y`, else the only one of that length, if they are the only integers that it fits. Other
    arrays that have no value for each row are left out, and named in a note.
    """
    rows = _rows(arrays)
    for name, array in arrays.items():
        if array.ndim > 2 and len(array) == rows:
            raise MetatlError(f"{where}: {name} is {list(array.shape)}; a table's arrays are [n] or [n, k]")
    held = {name: array for name, array in arrays.items() if array.ndim and len(array) == rows}
    wide = [name for name, array in held.items() if array.ndim == 2]
    if "x" in wide:
        held = {name: array for name, array in held.items() if name == "x" or array.ndim == 1}
    names = {
        name: array.astype(np.str_)
        for name, array in arrays.items()
        if name not in held and array.ndim == 1 and array.dtype.kind in "OUS"
    }
    used: set[str] = set()
    found: Arrays = {}
    for name, array in held.items():
        if array.ndim == 2:
            called, by = _of_width(name, array, names, alone=name == "x" or len(wide) == 1)
            used |= {by} if by else set()
            found |= dict(zip(called, array.T, strict=True))
    spare = {name: array for name, array in names.items() if name not in used}
    for name, array in held.items():
        if array.ndim == 1:
            found[name] = array
    numbered = _numbered({name: array for name, array in held.items() if array.ndim == 1}, spare)
    for name, by in numbered.items():
        first = int(found[name].min())
        found[name] = spare[by][found[name].astype(np.int64) - first].astype(object)
    notes = [f"{where}: {name} is named by {by}" for name, by in numbered.items()]
    left = [name for name in arrays if name not in held and name not in used | {*numbered.values()}]
    second = [name for name in left if name in wide]
    short = [name for name in left if name not in wide]
    notes += [f"{where}: {', '.join(second)} left out: x is the matrix that counts"] if second else []
    notes += [f"{where}: {', '.join(short)} left out: no value for each of {rows} rows"] if short else []
    return found, tuple(notes)


def _rows(arrays: Arrays) -> int:
    """Rows of the matrices if there are any, else the length of most arrays."""
    wide = [len(array) for array in arrays.values() if array.ndim > 1]
    lengths = wide or [len(array) for array in arrays.values() if array.ndim]
    if not lengths:
        raise MetatlError("a table needs an array with a value for each row")
    return Counter(lengths).most_common(1)[0][0]


def _of_width(name: str, array: Array, names: Arrays, alone: bool) -> tuple[list[str], str]:
    """Names of a matrix's columns, and of the array that gave them."""
    fitting = [by for by, given in names.items() if len(given) == len({*given.tolist()}) == array.shape[1]]
    if len(fitting) != 1:
        return [f"{name}{i}" for i in range(array.shape[1])], ""
    given = names[fitting[0]].tolist()
    return given if alone else [f"{name} {one}" for one in given], fitting[0]


def _numbered(columns: Arrays, names: Arrays) -> dict[str, str]:
    """Columns that number names, from 0 or 1 on -> the array of these names."""
    integers = {
        name: int(array.max()) - int(array.min()) + 1
        for name, array in columns.items()
        if array.dtype.kind in "iu" and len(array) and int(array.min()) in (0, 1)
    }
    found: dict[str, str] = {}
    for name, count in integers.items():
        called = (name + "s", *(("names", "classes") if name == "y" else ()))
        by = next((by for by in called if by in names and len(names[by]) == count), None)
        found |= {name: by} if by is not None else {}
    for by in [by for by in names if by not in found.values()]:
        fitting = [name for name, count in integers.items() if name not in found and count == len(names[by])]
        rivals = [one for one in names if one not in found.values() and len(names[one]) == len(names[by])]
        if len(fitting) == 1 and len(rivals) == 1:
            found[fitting[0]] = by
    return found
