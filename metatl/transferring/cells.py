"""What is done so far, on disk: one file for each row, number of labels and draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl import store
from metatl.types import MetatlError

ALL = "all"


@dataclass(frozen=True)
class Cell:
    """One row at one number of labels in one draw.

    predicted: class of every test photo of the draw; probability: of that class; seconds: to choose, fit and
    predict; selected: values chosen or taken; how: `cv`, `default`, or `fixed` where there is nothing to choose.
    """

    predicted: list[int]
    probability: list[float]
    seconds: float
    selected: dict[str, Any]
    how: str


Key = tuple[str, int | None, int]
"""Row, labels of each class (all for None), draw."""


@dataclass
class Cells:
    """The cells of one output folder; every one is written as soon as it is done."""

    folder: Path
    held: dict[Key, Cell]
    spent: float = 0.0

    @staticmethod
    def open(folder: Path, digests: Mapping[str, str]) -> Cells:
        """What an earlier command left there. Raises MetatlError where it worked on something else."""
        state = folder / "state.json"
        store.make_folder(folder / "cells")
        if not state.is_file():
            store.write_json(state, {"digests": dict(digests), "spent": 0.0})
            return Cells(folder, {})
        value = store.read_json(state)
        _check(folder, value, digests)
        held: dict[Key, Cell] = {}
        for file in sorted((folder / "cells").glob("*.json")):
            name, k, draw = file.stem.rsplit("~", 2)
            try:
                held[name, None if k == ALL else int(k), int(draw)] = Cell(**store.read_json(file))
            except (TypeError, ValueError) as error:
                raise MetatlError(f"{file} is damaged; delete it and run the same command again") from error
        return Cells(folder, held, float(value["spent"]))

    def put(self, key: Key, cell: Cell) -> None:
        """Keep a cell."""
        self.held[key] = cell
        name, k, draw = key
        place = self.folder / "cells" / f"{name}~{ALL if k is None else k}~{draw}.json"
        store.write_json(place, asdict(cell))

    def note(self, digests: Mapping[str, str], spent: float) -> None:
        """Keep the seconds spent by all commands so far."""
        store.write_json(self.folder / "state.json", {"digests": dict(digests), "spent": spent})

    def draws(self, name: str, k: int | None) -> list[int]:
        """The draws that are done, in order."""
        return sorted(draw for row, labels, draw in self.held if row == name and labels == k)


def _check(folder: Path, value: Any, digests: Mapping[str, str]) -> None:
    try:
        before = dict(value["digests"])
        float(value["spent"])
    except (TypeError, KeyError, ValueError) as error:
        raise MetatlError(f"{folder / 'state.json'} is damaged; delete {folder} or choose another --out") from error
    changed = [what for what, digest in digests.items() if before.get(what) != digest]
    if changed:
        raise MetatlError(
            f"{folder} holds the work on other {' and '.join(changed)}; choose another --out, or delete it to "
            "begin anew"
        )


def right(cell: Cell, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n]: 1 where a test photo was named rightly, else 0."""
    return (np.asarray(cell.predicted) == labels).astype(np.float64)
