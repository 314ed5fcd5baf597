"""Rows with several targets, some of them missing here and there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from metatl.data.examples import Index, Inputs
from metatl.data.photos import Photos
from metatl.data.table_rows import read_parts
from metatl.data.tables import Columns, Encoder, read_table
from metatl.data.tables.columns import as_text
from metatl.data.tables.gaps import over_all_rows
from metatl.data.tables.target import target_names
from metatl.data.targets import MISSING, Targets
from metatl.data.texts import of_column
from metatl.multitasking.files import joined
from metatl.opening import text_of
from metatl.transferring.backbone import backbone
from metatl.transferring.features import features, readable
from metatl.transferring.opened import USUAL
from metatl.transferring.prepared import prepared_rows
from metatl.types import MetatlError

FEWEST = 20
"""Rows that every target has, at least: fewer are no task to learn, choose and judge by."""


@dataclass(frozen=True)
class Several:
    """n rows and their targets.

    inputs: the rows to learn from -> all rows as numbers [n, ...]; targets: by name, of the rows that have
    them, and y: [n] labels (-1 where missing) or [n, 1] values (NaN); test: rows that judge, None
    for a draw a seed.
    """

    name: str
    unit: str
    inputs: Callable[[Index], Tensor]
    targets: Mapping[str, Targets]
    y: Mapping[str, Tensor]
    test: Index | None = None
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self.y.values())))

    def has(self, name: str) -> Tensor:
        """[n]: whether rows have a target."""
        y = self.y[name]
        return ~y.isnan().flatten(1).any(1) if y.is_floating_point() else y != MISSING


def read(
    data: str | Path | Sequence[str | Path],
    names: str | Sequence[str] | None,
    text: str | None = None,
    drop: Sequence[str] = (),
) -> Several:
    """A table, with `text` sentences in a column, or a folder of photos with a CSV that names them.

    Several tables have a task each, see `files.joined`. drop: columns that are no inputs. Raises MetatlError
    in one line for what is not there, and for targets from which nothing can be learned.
    """
    places = [Path(one) for one in ([data] if isinstance(data, str | Path) else data)]
    for place in places:
        if not place.exists():
            raise MetatlError(
                f"{place}: no such file or folder; name a table, or a folder of photos with a CSV"
            )
    place, listed = places[0], _listed(places[0]) if places[0].is_dir() else None
    if len(places) > 1:
        table, test = joined(places, names, text), None
        said, name = list(table)[-len(places) :], table.name
    else:
        table, test, _ = (read_table(listed), None, None) if listed else read_parts(place, text)
        said, name = _names(table, names), text_of(place.resolve().stem)
    table.require(drop)
    targets = {name: over_all_rows(table, name, FEWEST) for name in said}
    rest = table.drop([*said, *(one for one in drop if one not in said)])
    y = {name: y for name, (_, y) in targets.items()}
    if listed is not None:
        inputs, unit = _frozen(_photos(place, rest), USUAL["photo"]), "photo"
    elif text is not None:
        ids = [str(table.line(i)) for i in range(table.rows)]
        inputs, unit = _frozen(of_column(rest, text, ids), USUAL["sentence"]), "sentence"
    else:
        if not len(rest):
            raise MetatlError(
                f"{table.name} has no column beside {', '.join(said)}; add some that could tell them"
            )
        inputs, unit = (lambda train: Encoder.fit(rest.take(train))(rest)), "row"
    return Several(name, unit, inputs, {n: one for n, (one, _) in targets.items()}, y, test, table.notes)


def _names(table: Columns, names: str | Sequence[str] | None) -> list[str]:
    if names is None:
        raise MetatlError(
            f"{table.name}: which columns are to be predicted? --targets a,b; it has {', '.join(table)}"
        )
    said = target_names(table, names if isinstance(names, str) else ",".join(names))
    if len({*said}) < len(said):
        raise MetatlError(f"targets: {', '.join(said)} names a column twice")
    return said


def _listed(folder: Path) -> Path | None:
    """The CSV that names a folder's photos; None where the folder is a table in parts."""
    if any((folder / f"train{end}").is_file() for end in (".csv", ".tsv", ".parquet", ".npz")):
        return None
    found = sorted(folder.glob("*.csv"))
    if len(found) != 1:
        raise MetatlError(
            f"{folder} has {len(found)} CSV files; one says each photo's file and targets (or give a table)"
        )
    return found[0]


def _photos(folder: Path, columns: Columns) -> Photos:
    """Those of the first column whose values all are files."""
    for name in columns:
        files = [folder / (one or "\x00") for one in as_text(columns[name])]
        if "\x00" not in "".join(map(str, files)) and all(file.is_file() for file in files):
            return Photos(tuple(files))
    first = next(iter(columns), None)
    raise MetatlError(f"{columns.name}: no column names files of {folder}; one should ({first!r} does not)")


def _frozen(inputs: Inputs, net: str) -> Callable[[Index], Tensor]:
    """Features of a pre-trained net that does not move, kept by content."""
    body = backbone(net)
    rows = prepared_rows(inputs, body)
    digests = [inputs.digest(i) for i in range(len(inputs))]
    found = features(body.body, body.key, digests, readable(rows.one, body.preparation.stacked))
    lost = [inputs.ids[i] for i, one in enumerate(found) if one is None]
    if lost:
        raise MetatlError(f"{lost[0]} cannot be read ({len(lost)} in all); leave it out")
    held = torch.stack([one for one in found if one is not None])

    def scaled(train: Index) -> Tensor:
        rows = held[torch.from_numpy(train)]
        return (held - rows.mean(0)) / rows.std(0).clamp(min=1e-6)

    return scaled
