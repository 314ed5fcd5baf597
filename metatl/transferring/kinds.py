"""What lies around a net, by the words under which a saved model names it.

How rows are read and prepared, and what was added at layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from torch import Tensor

from metatl.additions import Addition
from metatl.data.examples import Reader
from metatl.data.photos import PhotoFiles
from metatl.data.prepared_signals import MelPreparation, WindowPreparation
from metatl.data.recordings import RecordingFiles
from metatl.data.table_rows import TableReader
from metatl.data.tables import Encoder
from metatl.data.texts import TextReader
from metatl.pretrained import Preparation, TextPreparation
from metatl.transforms.adapters import Bottleneck
from metatl.transforms.series_adapters import Series

READERS: Mapping[str, type[Any]] = {
    "photos": PhotoFiles,
    "table": TableReader,
    "recordings": RecordingFiles,
    "texts": TextReader,
}
PREPARATIONS: Mapping[str, type[Any]] = {
    "pictures": Preparation,
    "texts": TextPreparation,
    "columns": Encoder,
    "windows": WindowPreparation,
    "recordings": MelPreparation,
}
"""Classes with `values() -> (plain values, tensors)` and `of(values, tensors)`."""
ADDITIONS: Mapping[str, type[Any]] = {"bottleneck": Bottleneck, "series": Series}
"""Those that no weights of a layer stand in for; they are made of a layer's name."""


def preparation_values(preparation: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A preparation as plain values and tensors, from which `opened_preparation` makes it again."""
    values, tensors = preparation.values()
    return {"kind": _word(PREPARATIONS, preparation), **values}, tensors


def opened_preparation(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Any:
    """The preparation of a saved model; raises KeyError, TypeError or ValueError for what is none."""
    return PREPARATIONS[values.get("kind", "pictures")].of(_rest(values), dict(tensors))


def addition_values(additions: Iterable[Addition]) -> list[dict[str, str]]:
    """Additions that are a part of a module, as plain values."""
    return [{"kind": _word(ADDITIONS, one), "layer": one.layer} for one in additions]


def opened_additions(values: Iterable[Mapping[str, Any]]) -> list[Addition]:
    """The additions of a saved model; raises KeyError or ValueError for what is none."""
    if not _words(one["layer"] for one in values):
        raise ValueError("a layer without a name")
    return [ADDITIONS[one["kind"]](one["layer"]) for one in values]


def reader_values(reader: Reader) -> dict[str, Any]:
    """A reader as plain values."""
    return {"kind": _word(READERS, reader), **asdict(reader)}  # pyright: ignore[reportArgumentType]


def opened_reader(values: Mapping[str, Any]) -> Reader:
    """The reader of a saved model; raises KeyError or TypeError for what is none."""
    made = READERS[values["kind"]]
    given = _rest(values)
    for field in fields(made):
        if field.name in given:
            given[field.name] = _plain(field.type, given[field.name])
    return made(**given)


def _plain(kind: Any, value: Any) -> Any:
    """The value of a reader's field, of the kind that its annotation says; ValueError for another."""
    if isinstance(value, list) and str(kind).startswith("tuple") and _words(value):
        return tuple(value)
    if isinstance(value, dict) and str(kind).startswith("Mapping") and _words(value.values()):
        return value
    if str(kind).startswith("str") and (value is None or isinstance(value, str)):
        return value
    raise ValueError(f"{str(value)[:40]!r} where {kind} is wanted")


def _words(values: Iterable[Any]) -> bool:
    return all(isinstance(one, str) for one in values)


def _word(known: Mapping[str, type[Any]], one: Any) -> str:
    return next(name for name, made in known.items() if isinstance(one, made))


def _rest(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key != "kind"}
