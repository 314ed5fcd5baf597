"""How a run directory's weights and its report came about: `provenance.json`, of each its own.

The top level is of the learning as it began; `resumed` lists what was otherwise where it went on; `evaluated`
is of the report that lies there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from metatl import processes
from metatl.evaluation.evaluate import Report
from metatl.lab import store
from metatl.lab.provenance import provenance
from metatl.lab.run.prepare import Run
from metatl.lab.run.values import flat
from metatl.types import MetatlError

_FILE = "provenance.json"


def note_learning(run: Run, resumed: bool) -> None:
    """Write how the weights come about; what was resumed keeps how it began."""
    if not processes.writer():
        return
    before, now = _read(run.folder), _now(run)
    if resumed and "started" in before:
        other = {key: value for key, value in now.items() if before.get(key) != value}
        now = {**before, "resumed": [*before.get("resumed", []), other]}
    elif "evaluated" in before:
        now |= {"evaluated": before["evaluated"]}
    store.write_json(run.folder / _FILE, now)


def note_evaluation(run: Run, folder: Path) -> None:
    """Write how the report that is about to lie in this folder came about."""
    if processes.writer():
        store.write_json(folder / _FILE, _read(folder) | {"evaluated": _now(run)})


def say_other(run: Run, folder: Path, report: Report) -> None:
    """A line where a report that is there was made in another way than this command asks for."""
    if not processes.writer():
        return
    told = cast(Mapping[str, Any], _read(folder).get("evaluated") or {})
    mine = {"name": run.experiment.name, "family": run.experiment.family, "engine": run.described["engine"]}
    made = mine | {"name": report.method, **{key: told[key] for key in ("engine",) if key in told}}
    made["family"] = report.facts.get("family", mine["family"])
    was, asked = flat(made), flat(mine)
    other = [
        f"{key} {was.get(key)}, not {asked.get(key)}"
        for key in {**was, **asked}
        if was.get(key) != asked.get(key)
    ]
    if other:
        processes.say(f"the report in {folder} was made with {'; '.join(other)}; it stays as it is")


def _now(run: Run) -> dict[str, Any]:
    return provenance(run.experiment.device) | {"engine": run.described["engine"]}


def _read(folder: Path) -> dict[str, Any]:
    try:
        found = store.read_json(folder / _FILE)
    except MetatlError:  # none, or a damaged one: nothing depends on it
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}
