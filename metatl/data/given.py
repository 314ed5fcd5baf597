"""Rows that Python holds, as examples' inputs: told by their values, and by what the net reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from metatl.data.class_folder import FileKind
from metatl.data.examples import Inputs, Reader
from metatl.data.given_pictures import Pictures
from metatl.data.photos import PHOTOS, PhotoFiles, Photos
from metatl.data.recordings import RecordingFiles
from metatl.data.rows import rows_of
from metatl.data.signals import RECORDINGS
from metatl.data.table_rows import TableReader
from metatl.data.tables import Columns, read_table
from metatl.data.tables.arrays import as_numpy, from_arrays
from metatl.data.tables.columns import Array
from metatl.data.texts import TEXTS, TextReader, Texts, of_files
from metatl.types import MetatlError


@dataclass(frozen=True)
class Known:
    """What is known of rows beforehand: of the net's, and of those that a model was fitted to.

    unit: what the net reads (photo, sentence, row); None where no net says so. names: of columns, for rows
    that come without; formats: of columns (see `Columns.formats`).
    """

    unit: str | None = None
    names: tuple[str, ...] | None = None
    formats: Mapping[str, str] = field(default_factory=dict[str, str])


def given(x: Any, known: Known = Known()) -> tuple[Inputs, Reader]:
    """The rows of x, and how rows like these are read from files.

    - a data frame, or arrays by name: columns; so are numbers, and objects of any kind, [n, columns];
    - images of PIL, arrays [n, h, w, 3 or 4]: pictures; [n, h, w] too where they are bytes or the net reads
      pictures, else these are windows [n, channels, time];
    - strings: texts, also as the only column of a table for a net that reads texts;
    - paths, or strings that all end as such files do: files of pictures, texts or recordings.

    Raises MetatlError in one line for what is none of these.
    """
    if hasattr(x, "toarray") and hasattr(x, "nnz"):
        raise MetatlError("sparse rows are not taken; give X.toarray()")
    if isinstance(x, Mapping) or (hasattr(x, "columns") and hasattr(x, "dtypes")):
        return _table(read_table(x, formats=known.formats), known)
    if isinstance(x, str | bytes | Path | Image.Image):
        raise MetatlError("give a list of pictures or texts, or an array [n, ...]; this is one alone")
    if hasattr(x, "__len__") and not len(x):
        raise MetatlError(f"there are no {known.unit or 'row'}s; give one or more")
    items = _items(x)
    if items is not None:
        return _of_items(items, known, str(getattr(x, "name", None) or "") or None)
    array = as_numpy(x)
    if array.ndim == 4 or (array.ndim == 3 and (known.unit == "photo" or array.dtype == np.uint8)):
        return Pictures(list(array)), PhotoFiles()
    if known.unit == "photo":
        return Pictures(list(array)), PhotoFiles()  # which says what a picture is
    if array.ndim == 3:
        return _columns(from_arrays({"x": array}, "windows", known.formats))
    return _table(_matrix(array, known), known)


def _items(x: Any) -> list[Any] | None:
    """Images, paths and strings one by one, and arrays of several shapes; None for what is an array."""
    if getattr(x, "ndim", 1) != 1 or not hasattr(x, "__len__"):
        return None
    items = list(cast(Sequence[Any], x))
    if all(isinstance(one, str | Path | Image.Image) for one in items):
        return items
    apart = all(getattr(one, "ndim", 0) > 1 for one in items) and len({one.shape for one in items}) > 1
    return items if apart else None


def _of_items(items: list[Any], known: Known, name: str | None) -> tuple[Inputs, Reader]:
    if not all(isinstance(one, str | Path) for one in items):
        return Pictures([_opened(one) for one in items]), PhotoFiles()
    kind = next((kind for kind in _FILES if _all_end(items, kind)), None)
    if kind is not None and (known.unit != "sentence" or kind is TEXTS):
        return _FILES[kind]([Path(one) for one in items])
    if known.unit == "photo":
        return _photos([Path(one) for one in items])
    return Texts(tuple(map(str, items)), _numbered(len(items))), TextReader(name)


def _photos(files: list[Path]) -> tuple[Inputs, Reader]:
    return Photos(tuple(files)), PhotoFiles()


_FILES: Mapping[FileKind, Callable[[list[Path]], tuple[Inputs, Reader]]] = {
    PHOTOS: _photos,
    TEXTS: lambda files: (of_files(files), TextReader()),
    RECORDINGS: lambda files: (RecordingFiles().read(files), RecordingFiles()),
}


def _all_end(items: list[Any], kind: FileKind) -> bool:
    return all(Path(one).suffix.lower() in kind.suffixes for one in items)


def _opened(one: Any) -> Any:
    return Image.open(one) if isinstance(one, str | Path) else one


def _table(columns: Columns, known: Known) -> tuple[Inputs, Reader]:
    """Columns, or the texts of the only one for a net that reads texts."""
    if known.unit == "sentence" and len(columns) == 1:
        name, values = next(iter(columns.items()))
        texts = tuple("" if value is None else str(value) for value in values.tolist())
        return Texts(texts, _numbered(len(texts))), TextReader(name)
    return _columns(columns)


def _columns(columns: Columns) -> tuple[Inputs, Reader]:
    return rows_of(columns, _numbered(columns.rows)), TableReader(dict(columns.formats))


def _matrix(array: Array, known: Known) -> Columns:
    """[n, k] as columns of the known names, x0, x1, ... without."""
    _check_shape(array)
    names = known.names or tuple(f"x{i}" for i in range(array.shape[1]))
    if len(names) != array.shape[1]:
        raise MetatlError(
            f"X has {array.shape[1]} features, but it is expecting {len(names)} features as input: the "
            "columns that were fitted to"
        )
    return read_table(dict(zip(names, array.T, strict=True)), formats=known.formats)


def _check_shape(array: Array) -> None:
    """Raise MetatlError for what is no table [n, k] of numbers or other values."""
    if array.dtype.kind == "c":
        raise MetatlError("Complex data not supported: give their real and imaginary parts as columns")
    if array.ndim != 2:
        raise MetatlError(
            f"rows are [n, columns], and these are {list(array.shape)}. Reshape your data: "
            "x.reshape(-1, 1) if it is one column, x.reshape(1, -1) if it is one row"
        )
    if not array.shape[1]:
        raise MetatlError(f"found 0 feature(s) (shape={array.shape}) while a minimum of 1 is required.")


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"row {place}" for place in range(count))
