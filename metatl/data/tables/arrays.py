"""Tables that come as arrays: mappings, data frames, Parquet, npz."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from metatl.data.bounds import check_bytes
from metatl.data.cache import NPZ_ERRORS, read_arrays
from metatl.data.tables.columns import Array, Columns
from metatl.data.tables.decimals import settle
from metatl.data.tables.formats import NUMBERS, Typed
from metatl.data.tables.matrices import as_columns
from metatl.data.tables.objects import of_objects, own_format, plain
from metatl.data.tables.sparse import with_dense
from metatl.data.windows import window_columns, windows_of
from metatl.opening import reading
from metatl.types import MetatlError

Formats = Mapping[str, str]


def from_arrays(arrays: Mapping[Any, Any], where: str, given: Formats) -> Columns:
    """Arrays, lists or tensors [n] by name, matrices [n, k] as k columns; MetatlError naming a column.

    Windows [n, channels, time] stay beside the columns that say something of them.
    """
    held = {str(name): as_numpy(value) for name, value in arrays.items()}
    if not held:
        raise MetatlError(f"{where} has no column")
    signals, said = windows_of(held, where)
    if signals is not None:
        held = {name: array for name, array in held.items() if array.ndim != 3}
        held |= window_columns(signals.x)
    held, notes = as_columns(held, where)
    if not len(next(iter(held.values()))):
        raise MetatlError(f"{where} has no row")
    read = {name: _typed(array, name, where, given.get(name)) for name, array in held.items()}
    settle(read, _texts(held, read, given), lambda i: f"{where} row {i + 1}")
    notes = (*said, *notes, *(one.note for one in read.values() if one.note))
    formats = {name: one.format for name, one in read.items()}
    found = {name: one.array for name, one in read.items()}
    return Columns(found, where, notes, formats, signals=signals)


def _texts(
    held: Mapping[str, Array], read: Mapping[str, Typed], given: Formats
) -> dict[str, list[str | None]]:
    """The columns of text that were read as numbers, without a given format."""
    found = dict[str, list[str | None]]()
    for name, one in read.items():
        if name not in given and one.format in NUMBERS and held[name].dtype.kind in "OU":
            values = [plain(value) for value in held[name].tolist()]
            if all(value is None or isinstance(value, str) for value in values):
                found[name] = values
    return found


def from_frame(frame: Any, where: str, given: Formats) -> Columns:
    """A pandas DataFrame, whose index is no column; values of its type `category` stay categories."""
    names = [str(name) for name in frame.columns]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise MetatlError(f"{where} names two columns {twice[0]!r}; rename one")
    series = dict(zip(names, (frame.iloc[:, i] for i in range(len(names))), strict=True))
    chosen = {name: "category" for name, one in series.items() if str(one.dtype) == "category"}
    return from_arrays({name: _of_series(one) for name, one in series.items()}, where, {**chosen, **given})


def _of_series(series: Any) -> Array:
    kind = str(series.dtype)
    if kind.startswith("datetime64"):
        series = series.dt.tz_convert("UTC").dt.tz_localize(None) if series.dt.tz is not None else series
        return series.to_numpy("datetime64[ns]")
    if kind in ("float16", "float32", "float64", "bool") or kind.startswith(("int", "uint")):
        return series.to_numpy()
    missing = series.isna().to_numpy()
    held = series.astype(object).to_numpy().copy()
    held[missing] = None
    return held


def from_parquet(path: Path, given: Formats) -> Columns:
    """A Parquet file, through pyarrow; MetatlError where it is damaged, nested, or too large."""
    try:
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MetatlError(f"{path} is Parquet, which needs pyarrow: pip install metatl[tables]") from error
    try:
        with reading(path) as raw:
            file = parquet.ParquetFile(raw)
            groups = range(file.metadata.num_row_groups)
            check_bytes(sum(file.metadata.row_group(i).total_byte_size for i in groups))
            table = file.read()
    except FileNotFoundError as error:
        raise MetatlError(f"{path}: no such file") from error
    except (OSError, ValueError, ArithmeticError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise MetatlError(f"{path}: is damaged or no Parquet file ({reason}); get it again") from error
    names = table.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise MetatlError(f"{path} names two columns {twice[0]!r}; rename one")
    held = {name: _of_arrow(table.column(i)) for i, name in enumerate(names)}
    kept = {name: array for name, array in held.items() if name != "__index_level_0__"}
    return from_arrays(kept, str(path), given)


def _of_arrow(column: Any) -> Array:
    kind = str(column.type)
    if kind.startswith("dictionary"):
        column = column.cast(column.type.value_type)
    return column.to_numpy()


def from_npz(path: Path, given: Formats) -> Columns:
    """Every array of an npz file that has a value, a row, sparse ones too, or a window [channels, time]."""
    try:
        arrays = read_arrays(path)
    except FileNotFoundError as error:
        raise MetatlError(f"{path}: no such file") from error
    except NPZ_ERRORS as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise MetatlError(f"{path}: is damaged or no npz file ({reason}); get it again") from error
    arrays = with_dense(arrays, str(path))
    return from_arrays(arrays, str(path), given)


def as_numpy(value: Any) -> Array:
    """An array of anything that is one, a list or a tensor; MetatlError for rows of unequal lengths."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        found = np.asarray(value)
        if found.dtype.kind in "US" and isinstance(value, list | tuple):
            found = np.array(value, object)  # numpy made strings of numbers, and of None
    except (TypeError, ValueError, RuntimeError) as error:
        raise MetatlError("a column is no array: its rows differ in length; give one value a row") from error
    return found


def _typed(array: Array, name: str, where: str, given: str | None) -> Typed:
    """A column [n] with one of the types of `Columns`."""
    kind = array.dtype.kind
    if kind == "S":
        array, kind = np.char.decode(array, "utf-8", "replace"), "U"
    form = own_format(kind == "b", given)
    if kind == "b" and form.startswith("boolean"):
        return Typed(array.astype(np.bool_), form)
    if kind in "iufb" and form in NUMBERS:
        values = array.astype(np.float64)
        odd = np.isinf(values)
        note = f"column {name}: {odd.sum()} infinite values are taken as missing" if odd.any() else ""
        return Typed(np.where(odd, np.nan, values), form, note)
    if kind == "M":
        return Typed(array.astype("datetime64[s]"), "date")
    if kind not in "OUiufb":
        raise MetatlError(f"{where}: column {name} holds {array.dtype} values; leave it out")
    return of_objects([plain(value) for value in array.tolist()], name, where, given)
