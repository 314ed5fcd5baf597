"""Recorders: JSON lines, TensorBoard, console; and what there is to record of a guide.

A step is the number of steps done, from 1. Record a step before its checkpoint is written, and call `flush`
between the two: a run that is killed and resumed from that checkpoint then leaves no gap and no double line.
"""

from pathlib import Path

from metatl.record.console import Console
from metatl.record.guides import describe, overlap, record_guide
from metatl.record.lines import JsonLines
from metatl.record.recorder import Recorder, Recorders, floats, interval, one_line
from metatl.record.tensorboard import TensorBoard, flat

__all__ = [
    "Console",
    "JsonLines",
    "Recorder",
    "Recorders",
    "TensorBoard",
    "describe",
    "flat",
    "floats",
    "interval",
    "open_recorders",
    "overlap",
    "record_guide",
]


def open_recorders(directory: Path, total: int, resume_step: int = 0, label: str = "") -> Recorders:
    """The recorders of a run directory, continued behind the checkpoint of `resume_step` (0: afresh)."""
    with one_line(directory):
        directory.mkdir(parents=True, exist_ok=True)
    lines = JsonLines.open(directory / "metrics.jsonl", resume_step)
    board = TensorBoard(directory, purge_step=resume_step + 1 if resume_step else 0)
    return Recorders([lines, board, Console(total, resume_step, label)], directory)
