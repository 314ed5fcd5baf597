"""Reports that a study keeps beside its table, so that another machine goes on where one stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from metatl.evaluation.evaluate import Report
from metatl.lab import store
from metatl.lab.run import Run, report
from metatl.lab.run.folder import evaluation


class Reports:
    """Reports by the digest of what they were made of: config, data, evaluation; a line of a file each."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.held: dict[str, Any] = store.read_json(place) if place.is_file() else {}

    def of(self, run: Run, beside: bool = False) -> Report:
        """The run's report: from the file, or made (and learned before, where need be) and put there."""
        return self.named(evaluation(run), lambda: report(run, beside=beside))

    def named(self, name: str, make: Callable[[], Report]) -> Report:
        """The report of a name."""
        if name not in self.held:
            made = make()
            told = {"method": made.method, "protocol": made.protocol, "facts": made.facts}
            self.held[name] = {**told, "scores": made.scores.tolist()}
            self._write()
        kept = self.held[name]
        return Report(kept["method"], np.array(kept["scores"]), kept["protocol"], kept["facts"])

    def _write(self) -> None:
        lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(one)}" for name, one in self.held.items())
        store.make_folder(self.place.parent)
        store.write_text(self.place, f"{{\n{lines}\n}}\n")
