"""What is done so far, on disk: one file for each row and number of labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metatl.lab import store
from metatl.text import counted
from metatl.transferring.judging import Judged
from metatl.transferring.rows import Row
from metatl.types import MetatlError

ALL = "all"


@dataclass(frozen=True)
class Cell(Judged):
    """One row at one number of labels in one draw: what it said of the rows that judge.

    seconds: to choose, fit and predict; selected: values chosen or taken; how: `cv`, `default`, `fixed` where
    nothing is chosen, or `diverged` where no fit was found.
    """

    seconds: float
    selected: dict[str, Any]
    how: str


Key = tuple[str, int | None, int]
"""Row, labels of each class (all for None), draw."""


@dataclass
class Cells:
    """The cells of one output folder; every one is written as soon as it is done.

    spent: seconds of all earlier commands; validated: what the first of them decided (see `Study`); refused:
    why rows raised a MetatlError in one of their cells; they do no more of them in this command.
    """

    folder: Path
    digests: dict[str, str]
    held: dict[Key, Cell]
    spent: float = 0.0
    validated: bool | None = None
    refused: dict[str, str] = field(default_factory=dict[str, str])

    @staticmethod
    def resumed(folder: Path, digests: Mapping[str, str]) -> Cells:
        """What an earlier command left there. Raises MetatlError where it worked on something else.

        One that was refused before its first cell left nothing: its mended table goes into the same folder.
        """
        state = folder / "state.json"
        store.make_folder(folder)
        store.make_folder(folder / "cells")
        value: Any = store.read_json(state) if state.is_file() else {}
        known = _checked(folder, value, digests) if state.is_file() else None
        if known is None:
            found = Cells(folder, dict(digests), {})
            found.note(0.0)
            return found
        digests = known
        held: dict[Key, Cell] = {}
        for file in sorted((folder / "cells").glob("*.json")):
            try:
                name, k = file.stem.rsplit("~", 1)
                for draw, cell in dict(store.read_json(file)).items():
                    held[name, None if k == ALL else int(k), int(draw)] = Cell(**cell)
            except (TypeError, ValueError) as error:
                raise MetatlError(f"{file} is damaged; delete it and run the same command again") from error
        return Cells(folder, dict(digests), held, float(value["spent"]), value.get("validated"))

    def put(self, cells: Mapping[Key, Cell]) -> None:
        """Keep cells."""
        self.held.update(cells)
        for name, k in dict.fromkeys(key[:2] for key in cells):
            some = {draw: vars(self.held[name, k, draw]) for draw in self.draws(name, k)}
            file = self.folder / "cells" / f"{name}~{ALL if k is None else k}.json"
            store.write_text(file, json.dumps(some) + "\n")  # in one line: ten times as fast

    def of(self, keys: Iterable[Key]) -> Cells:
        """These alone, of those that are done: an earlier command may have asked for others too."""
        return replace(self, held={key: self.held[key] for key in keys if key in self.held})

    @property
    def stopped(self) -> list[str]:
        """A note on every row that refused."""
        return [f"{name} stopped: {why}." for name, why in self.refused.items()]

    def without(self, rows: Mapping[str, Row], refused: Mapping[str, str]) -> dict[str, Row]:
        """The rows that did not refuse before their first cell; MetatlError where none is left."""
        self.refused |= refused
        left = {name: row for name, row in rows.items() if name not in refused}
        if not left:
            raise MetatlError(" ".join(self.stopped))
        return left

    def check_begun(self, minutes: float) -> None:
        """Raise MetatlError where no cell is done: by what the rows refused, or for want of minutes."""
        if not self.held and self.refused:
            raise MetatlError(" ".join(self.stopped))
        if not self.held:
            raise MetatlError(
                f"{counted(minutes, 'minute')} did not reach a fit; give more (--minutes), or fewer labels "
                "(--labelled)"
            )

    def note(self, spent: float) -> None:
        """Keep the seconds spent by all commands so far."""
        value = {"digests": self.digests, "spent": spent, "validated": self.validated}
        store.write_json(self.folder / "state.json", value)

    def draws(self, name: str, k: int | None) -> list[int]:
        """The draws that are done, in order."""
        return sorted(draw for row, labels, draw in self.held if row == name and labels == k)


def _checked(folder: Path, value: Any, digests: Mapping[str, str]) -> dict[str, str] | None:
    """The digests, and those of what an earlier command had beside it (a source).

    None where that worked on something else, and did no cell; MetatlError where it did one.
    """
    try:
        before = dict(value["digests"])
        float(value["spent"])
    except (TypeError, KeyError, ValueError) as error:
        raise MetatlError(f"{folder / 'state.json'} is damaged; delete it or choose another --out") from error
    late = {"source"} - before.keys()
    changed = [w for w, digest in digests.items() if w not in late and before.get(w) != digest]
    if changed and not any((folder / "cells").glob("*.json")):
        return None
    if changed:
        raise MetatlError(
            f"{folder} holds work on other {' and '.join(changed)}; choose another --out, or delete it to "
            "begin anew"
        )
    return {**before, **digests}
