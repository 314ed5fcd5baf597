"""Reports: scores in episode order, and what they were taken on."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metatl.evaluate import Report
from metatl.store.files import read_json, write_atomic, write_json
from metatl.types import MetatlError

VERSION = 1


def save_report(folder: Path, report: Report) -> None:
    """Write `episodes.npy` (scores in episode order) and `report.json`."""
    buffer = io.BytesIO()
    np.save(buffer, report.scores)
    write_atomic(folder / "episodes.npy", buffer.getvalue())
    write_json(
        folder / "report.json",
        {
            "version": VERSION,
            "method": report.method,
            "mean": report.mean,
            "ci95": report.ci95,
            "protocol": report.protocol,
            "facts": report.facts,
        },
    )


def load_report(folder: Path) -> Report:
    """Read what `save_report` wrote; raises MetatlError for a missing or damaged file."""
    value = read_json(folder / "report.json")
    again = "evaluate the run again"
    try:
        scores: NDArray[np.float64] = np.load(folder / "episodes.npy", allow_pickle=False)
    except (OSError, EOFError, ValueError) as error:
        raise MetatlError(f"{folder / 'episodes.npy'} is missing or damaged ({error}); {again}") from error
    try:
        found = Report(value["method"], scores, value["protocol"], value["facts"])
        whole = scores.shape == (found.protocol["episodes"],)
    except (KeyError, TypeError) as error:
        raise MetatlError(f"{folder / 'report.json'} is no report of an evaluation; {again}") from error
    if not whole:
        raise MetatlError(f"{folder / 'episodes.npy'} does not belong to the report beside it; {again}")
    return found
