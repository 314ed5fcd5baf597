"""Reports: scores in episode order, and what they were taken on."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.evaluate import Report
from metatl.lab.store.files import DamagedError, read_bytes, read_json, refuse_newer, write_atomic, write_json
from metatl.types import MetatlError

VERSION = 2
"""From 2 on ci95 is Student's t, null where there is no interval, and facts say which episodes diverged."""
_PROTOCOL: dict[str, type[Any]] = {
    **dict.fromkeys(("way", "shot", "query", "seed", "episodes", "steps"), int),
    **dict.fromkeys(("data", "split", "episodes_hash", "score", "moments"), str),
    "transductive": bool,
}
_FACTS: dict[str, type[Any]] = {
    "trainable": int, "ms_per_task": float, "seconds_to_learn": float, "selected": dict, "family": str,
    "diverged": list,
}  # fmt: skip
"""What every report says, and what it may say, with the type that JSON gives it."""


def save_report(folder: Path, report: Report) -> None:
    """Write `episodes.npy` (scores in episode order) and `report.json`."""
    buffer = io.BytesIO()
    np.save(buffer, report.scores)
    value: dict[str, Any] = {
        "version": VERSION,
        "method": report.method,
        "mean": report.mean,
        "ci95": report.ci95,
        "protocol": report.protocol,
        "facts": report.facts,
    }
    value = json.loads(json.dumps(value))  # what is read back: tuples have become lists
    write_atomic(folder / "episodes.npy", buffer.getvalue())
    write_json(folder / "report.json", {**value, "sha256": _digest(value, report.scores)})


def load_report(folder: Path) -> Report:
    """Read what `save_report` wrote; MetatlError for a missing or newer file, DamagedError for others."""
    place = folder / "report.json"
    if not place.is_file():
        raise MetatlError(f"{folder} holds no report.json; name the directory of a finished run, under runs/")
    again = "run its config again"
    try:
        value = read_json(place)
    except MetatlError as error:
        raise DamagedError(str(error)) from error
    refuse_newer(place, value.get("version") if isinstance(value, dict) else None, VERSION)
    try:
        scores: NDArray[np.float64] = np.load(
            io.BytesIO(read_bytes(folder / "episodes.npy")), allow_pickle=False
        )
    except Exception as error:  # numpy raises nearly everything at a damaged header
        said = " ".join(str(error).split())
        raise DamagedError(f"{folder / 'episodes.npy'} is missing or damaged ({said}); {again}") from error
    try:
        found = Report(str(value["method"]), scores, dict(value["protocol"]), dict(value["facts"]))
        whole = scores.dtype == np.float64 and scores.shape == (found.protocol["episodes"],)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedError(f"{place} is no report of an evaluation; {again}") from error
    told = value.pop("sha256", None)  # reports of the first days have none
    whole = whole and (_says_all(found) if told is None else told == _digest(value, scores))
    if not whole:
        raise DamagedError(f"{place} or the episodes.npy beside it is damaged (they do not agree); {again}")
    return found


def _says_all(report: Report) -> bool:
    """Whether a report without a checksum, which anybody may have written, says what every report does."""
    known = all(type(report.protocol.get(key)) is kind for key, kind in _PROTOCOL.items())
    facts = all(type(report.facts.get(key, kind())) is kind for key, kind in _FACTS.items())
    return known and facts and report.protocol["score"] in ("accuracy", "loss")


def _digest(value: dict[str, Any], scores: NDArray[np.float64]) -> str:
    """SHA-256 over everything that a report says."""
    said = json.dumps(value, sort_keys=True).encode()
    return hashlib.sha256(said + np.ascontiguousarray(scores).tobytes()).hexdigest()
