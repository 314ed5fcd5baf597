"""Scalars as JSON lines that survive a kill."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self, final

from metatl.evaluation.compare import plain
from metatl.lab import store
from metatl.lab.record.recorder import Recorder, one_line
from metatl.opening import changing
from metatl.types import MetatlError


@final
class JsonLines(Recorder):
    """`metrics.jsonl`: one JSON object a step, steps ascending, on disk at once; what is not finite is null.

    Scalars of the step that was written last join its line. Raises ValueError when a step goes backwards.
    """

    def __init__(self, stream: BinaryIO, last: Mapping[str, Any] | None = None, start: int = 0) -> None:
        self._stream, self._row, self._start = stream, dict(last or {}), start

    @classmethod
    def open(cls, path: Path, resume_step: int = 0) -> Self:
        """Continue after the checkpoint of `resume_step` (0: from nothing): later or torn lines are dropped.

        Raises MetatlError for a line that is damaged, and for a place that cannot be written.
        """
        with one_line(path):
            last, start, kept = _kept(path, resume_step)
            store.write_there(path, kept)  # a new file, whatever else the old one is known by
            recorder = cls(changing(path), last, start)
        if last is not None:
            recorder.scalars(last["step"], {})  # gives a line that lost only its end its end again
        return recorder

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write a line, or write the last one again with these values in it."""
        before = self._row.get("step", -1)
        if step < before:
            raise ValueError(f"step {step} recorded after step {before}")
        if step > before:
            self._row, self._start = {"step": step}, self._stream.seek(0, io.SEEK_END)
        self._row |= plain(values)
        self._stream.seek(self._start)
        self._stream.write(json.dumps(self._row, allow_nan=False).encode() + b"\n")
        self._stream.truncate()
        self._stream.flush()

    def flush(self) -> None:
        """Sync to the disk, where the stream is a file."""
        self._stream.flush()
        with suppress(io.UnsupportedOperation):
            os.fsync(self._stream.fileno())

    def close(self) -> None:
        """Close the stream."""
        self._stream.close()


def _kept(path: Path, resume_step: int) -> tuple[dict[str, Any] | None, int, bytes]:
    """The last line worth keeping (none: None), where it starts, and all lines up to it."""
    last, start, end = None, 0, 0
    there = resume_step and path.exists()
    lines = store.read_bytes(path).splitlines(keepends=True) if there else []
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            ascending = row["step"] > (last["step"] if last else -1)
        except (ValueError, TypeError, KeyError):
            if number == len(lines):  # torn by a kill in the middle of a write
                break
            row, ascending = {}, False
        if not ascending:
            raise MetatlError(f"{path}: line {number} is damaged; move the file away to resume without it")
        if row["step"] > resume_step:
            break
        last, start, end = row, end, end + len(line)
    return last, start, b"".join(lines)[:end]
