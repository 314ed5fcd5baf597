"""What is done so far, on disk: one file for each row, number of labels and draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.lab import store
from metatl.transferring.fit import NO_CLASS
from metatl.types import MetatlError

ALL = "all"


@dataclass(frozen=True)
class Cell:
    """One row at one number of labels in one draw.

    predicted: class of every test photo of the draw, NO_CLASS where outputs are not finite; probability: of
    that class; seconds: to choose, fit and predict; selected: values chosen or taken; how: `cv`, `default`,
    `fixed` where nothing is chosen, or `diverged` where no fit was found.
    """

    predicted: list[int]
    probability: list[float]
    seconds: float
    selected: dict[str, Any]
    how: str

    @property
    def diverged(self) -> int:
        """Number of photos that have no class."""
        return self.predicted.count(NO_CLASS)


Key = tuple[str, int | None, int]
"""Row, labels of each class (all for None), draw."""


@dataclass
class Cells:
    """The cells of one output folder; every one is written as soon as it is done.

    spent: seconds of all earlier commands; validated: what the first of them decided (see `Study`).
    """

    folder: Path
    digests: dict[str, str]
    held: dict[Key, Cell]
    spent: float = 0.0
    validated: bool | None = None

    @staticmethod
    def resumed(folder: Path, digests: Mapping[str, str]) -> Cells:
        """What an earlier command left there. Raises MetatlError where it worked on something else."""
        state = folder / "state.json"
        store.make_folder(folder)
        store.make_folder(folder / "cells")
        if not state.is_file():
            found = Cells(folder, dict(digests), {})
            found.note(0.0)
            return found
        value = store.read_json(state)
        digests = _checked(folder, value, digests)
        held: dict[Key, Cell] = {}
        for file in sorted((folder / "cells").glob("*.json")):
            name, k, draw = file.stem.rsplit("~", 2)
            try:
                held[name, None if k == ALL else int(k), int(draw)] = Cell(**store.read_json(file))
            except (TypeError, ValueError) as error:
                raise MetatlError(f"{file} is damaged; delete it and run the same command again") from error
        return Cells(folder, dict(digests), held, float(value["spent"]), value.get("validated"))

    def put(self, key: Key, cell: Cell) -> None:
        """Keep a cell."""
        self.held[key] = cell
        name, k, draw = key
        place = self.folder / "cells" / f"{name}~{ALL if k is None else k}~{draw}.json"
        store.write_json(place, asdict(cell))

    def note(self, spent: float) -> None:
        """Keep the seconds spent by all commands so far."""
        value = {"digests": self.digests, "spent": spent, "validated": self.validated}
        store.write_json(self.folder / "state.json", value)

    def draws(self, name: str, k: int | None) -> list[int]:
        """The draws that are done, in order."""
        return sorted(draw for row, labels, draw in self.held if row == name and labels == k)


def _checked(folder: Path, value: Any, digests: Mapping[str, str]) -> dict[str, str]:
    """The digests, and those of what an earlier command had beside it (a source)."""
    try:
        before = dict(value["digests"])
        float(value["spent"])
    except (TypeError, KeyError, ValueError) as error:
        raise MetatlError(f"{folder / 'state.json'} is damaged; delete it or choose another --out") from error
    late = {"source"} - before.keys()
    changed = [w for w, digest in digests.items() if w not in late and before.get(w) != digest]
    if changed:
        raise MetatlError(
            f"{folder} holds work on other {' and '.join(changed)}; choose another --out, or delete it to "
            "begin anew"
        )
    return {**before, **digests}


def right(cell: Cell, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """[n]: 1 where a test photo was named rightly, else 0."""
    return (np.asarray(cell.predicted) == labels).astype(np.float64)
