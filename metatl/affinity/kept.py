"""Transfers that are done, on disk: one file for each target and draw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from metatl.affinity.matrix import RATES, SOURCE_RATE, SOURCE_STEPS, STEPS, WIDTH, TargetTransfers, Transfers
from metatl.lab import store
from metatl.lab.store.tensors import digest
from metatl.types import MetatlError


@dataclass
class Kept:
    """The transfers of one output folder; spent: seconds of all earlier commands."""

    folder: Path
    key: str
    spent: float = 0.0
    held: dict[tuple[int, int], TargetTransfers] = field(
        default_factory=dict[tuple[int, int], TargetTransfers]
    )

    @staticmethod
    def resumed(folder: Path, key: str) -> Kept:
        """What an earlier command left there. Raises MetatlError where it worked on something else."""
        state, found = folder / "state.json", Kept(folder, key)
        store.make_folder(folder)
        store.make_folder(folder / "cells")
        if not state.is_file():
            found.note(0.0)
            return found
        try:
            value = dict(store.read_json(state))
            found.spent, before = float(value["spent"]), value["key"]
            for file in sorted((folder / "cells").glob("*.json")):
                target, draw = file.stem.split("-")
                found.held[int(target), int(draw)] = TargetTransfers(**store.read_json(file))
        except (TypeError, KeyError, ValueError) as error:
            raise MetatlError(f"{folder} is damaged; delete it or choose another --out") from error
        if before != key and found.held:
            raise MetatlError(
                f"{folder} holds transfers of other tasks, labels or seed; choose another --out, or delete it"
            )
        return found

    def put(self, target: int, draw: int, cell: TargetTransfers) -> None:
        """Keep the transfers to a target in a draw."""
        self.held[target, draw] = cell
        store.write_json(self.folder / "cells" / f"{target}-{draw}.json", asdict(cell))

    def note(self, spent: float) -> None:
        """Keep the seconds spent by all commands so far."""
        store.write_json(self.folder / "state.json", {"key": self.key, "spent": spent})

    def draws(self, tasks: Sequence[Any], asked: int) -> int:
        """The draws that are done for every task."""
        done = 0
        while done < asked and all((j, done) in self.held for j in range(len(tasks))):
            done += 1
        return done


def key_of(work: Transfers, facts: Mapping[str, Any]) -> str:
    """What every transfer depends on, but for its target and draw."""
    tasks = [
        [
            one.name,
            digest({"x": one.x, "y": one.targets.values}),
            one.task.pool.tolist(),
            one.judging.tolist(),
        ]
        for one in work.tasks
    ]
    way = [WIDTH, SOURCE_RATE, SOURCE_STEPS, RATES, STEPS]
    said = [tasks, work.labelled, work.seed, [repr(one) for one in work.estimates], way, facts]
    return hashlib.sha256(json.dumps(said, default=str).encode()).hexdigest()[:16]
