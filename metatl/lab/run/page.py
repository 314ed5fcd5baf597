"""report.html of a run: written beside its report, and made again from the files that lie there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from metatl import processes
from metatl.lab import config, store
from metatl.lab.render.reports import RunFiles, run_page
from metatl.lab.run.predictions import FILE, mistakes
from metatl.types import MetatlError

PAGE = "report.html"
_NONSENSE = (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError)
"""What values raise that somebody else has put into a file."""


def write_page(home: Path, folder: Path, again: bool) -> None:
    """Write the page of the report in `folder`, of the run in `home`; not again where one is there.

    A place that cannot be written costs the page alone: the report is there.
    """
    if not processes.writer() or ((folder / PAGE).is_file() and not again):
        return
    try:
        store.write_text(folder / PAGE, run_page(files_of(home, folder)))
    except MetatlError as error:
        processes.say(f"no {PAGE} in {folder}: {error}")
    except _NONSENSE as error:
        said = f"{type(error).__name__}: {error}"
        processes.say(f"no {PAGE} in {folder}: the files there are damaged or not of metatl ({said})")


def files_of(home: Path, folder: Path) -> RunFiles:
    """What the page is made from. Raises MetatlError as `store.load_report`."""
    scores = store.load_report(folder).scores
    report = store.read_json(folder / "report.json")
    said = _read(folder / FILE)
    own = said.get("evaluation") == report["facts"].get("evaluation")
    try:
        values = config.read(home / "config.yaml") if home == folder else {}
    except MetatlError:
        values = {}
    return RunFiles(
        report,
        scores,
        values,
        _read(home / "learned.json"),
        _read(folder / "provenance.json"),
        _lines(home / "metrics.jsonl"),
        said if own else {},
        mistakes(said) if own else [],
    )


def _read(path: Path) -> dict[str, Any]:
    """A JSON file that the report can do without: empty where it is missing or damaged."""
    try:
        found = store.read_json(path)
    except MetatlError:
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def _lines(path: Path) -> list[Mapping[str, Any]]:
    try:
        found = [json.loads(line) for line in store.read_bytes(path).splitlines() if line]
    except (OSError, ValueError):
        return []
    return [row for row in found if isinstance(row, dict) and "step" in row]
