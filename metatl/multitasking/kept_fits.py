"""Fits that are done, on disk: one file for each way and draw."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from metatl.lab import store
from metatl.lab.store.tensors import digest
from metatl.multitasking.fit import FittedCell, NetBudget
from metatl.multitasking.problem import Several
from metatl.multitasking.rows import Way
from metatl.types import MetatlError


@dataclass
class KeptFits:
    """The fits of one output folder, or none where there is no folder; spent: seconds of all commands so far.

    A way that has changed since is done again: every file says how its way was made.
    """

    folder: Path | None = None
    key: str = ""
    spent: float = 0.0
    held: dict[tuple[str, int], FittedCell] = field(default_factory=dict[tuple[str, int], FittedCell])

    @staticmethod
    def resumed(folder: Path, problem: Several, budget: NetBudget) -> KeptFits:
        """What an earlier command left there. Raises MetatlError where it worked on something else."""
        found = KeptFits(folder, key_of(problem, budget))
        store.make_folder(folder)
        store.make_folder(folder / "cells")
        if not (folder / "state.json").is_file():
            found.note(0.0)
            return found
        try:
            value = dict(store.read_json(folder / "state.json"))
            before, found.spent = value["key"], float(value["spent"])
        except (TypeError, KeyError, ValueError) as error:
            raise MetatlError(f"{folder / 'state.json'} is damaged; choose another --out") from error
        if before != found.key and any((folder / "cells").glob("*.json")):
            raise MetatlError(
                f"{folder} holds fits of other rows, targets or steps; choose another --out, or delete it"
            )
        return found

    def get(self, name: str, way: Way, seed: int) -> FittedCell | None:
        """The way's fit on this draw, if it is done. Raises MetatlError where its file is damaged."""
        file = self._file(name, seed)
        if file is None or not file.is_file():
            return self.held.get((name, seed))
        try:
            value = dict(store.read_json(file))
            if value.pop("way") != _said(way):
                return None
            self.held[name, seed] = FittedCell(**value)
        except (TypeError, KeyError, ValueError) as error:
            raise MetatlError(f"{file} is damaged; delete it and run the same command again") from error
        return self.held[name, seed]

    def put(self, name: str, way: Way, seed: int, cell: FittedCell) -> None:
        """Keep a fit."""
        self.held[name, seed] = cell
        if (file := self._file(name, seed)) is not None:
            store.write_json(file, {"way": _said(way), **asdict(cell)})

    def note(self, spent: float) -> None:
        """Keep the seconds spent by all commands so far."""
        self.spent = spent
        if self.folder is not None:
            store.write_json(self.folder / "state.json", {"key": self.key, "spent": spent})

    def _file(self, name: str, seed: int) -> Path | None:
        return None if self.folder is None else self.folder / "cells" / f"{name}~{seed}.json"


def key_of(problem: Several, budget: NetBudget) -> str:
    """What every fit depends on, but for its way and draw: rows, targets, steps and sizes."""
    inputs = problem.inputs(np.arange(problem.rows))
    targets = [(name, one.kind, one.names) for name, one in problem.targets.items()]
    test = None if problem.test is None else problem.test.tolist()
    said = [digest({"x": inputs}), digest(dict(problem.y)), targets, test, asdict(budget)]
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()[:16]


def _said(way: Way) -> str:
    """How a way is made: its net, penalty, and what it chooses among, for two targets."""
    tried = [(rate, repr(one)) for rate, one in [*way.runs(2), *way.further(2, 1.0)]]
    return f"{way.learner!r} {way.net.__name__} {dict(way.told or {})} {way.soft} {way.each} {tried}"
