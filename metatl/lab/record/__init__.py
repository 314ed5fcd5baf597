"""Recorders: JSON lines, TensorBoard, console; and what there is to record of a guide.

A step is the number of steps done, from 1. Record a step before its checkpoint is written, and call `flush`
between the two: a run that is killed and resumed from that checkpoint then leaves no gap and no double line.
"""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import torch

from metatl import processes
from metatl.lab.record.console import Console
from metatl.lab.record.guides import describe, overlap, record_guide
from metatl.lab.record.lines import JsonLines
from metatl.lab.record.recorder import Recorder, Recorders, floats, interval, one_line
from metatl.lab.record.tensorboard import TensorBoard, flat, shown_tag

__all__ = [
    "Console",
    "JsonLines",
    "Recorder",
    "Recorders",
    "TensorBoard",
    "bar",
    "describe",
    "flat",
    "floats",
    "held_mib",
    "interval",
    "open_recorders",
    "overlap",
    "peak_mib",
    "record_guide",
    "recording",
    "shown_tag",
    "tensorboard",
]


def open_recorders(directory: Path, total: int, resume_step: int = 0, label: str = "") -> Recorders:
    """The recorders of a run directory, continued after the checkpoint of `resume_step` (0: afresh).

    None of them where another process of a job writes (`processes.writer`).
    """
    if not processes.writer():
        return Recorders([], directory)
    with one_line(directory):
        directory.mkdir(parents=True, exist_ok=True)
    lines = JsonLines.open(directory / "metrics.jsonl", resume_step)
    board = TensorBoard(directory, purge_step=resume_step + 1 if resume_step else 0)
    return Recorders([lines, board, Console(total, resume_step, label)], directory)


@contextmanager
def recording(directory: Path, label: str, resume_step: int, total: int) -> Generator[Recorders]:
    """`open_recorders`, closed at the end whatever happens."""
    recorders = open_recorders(directory, total, resume_step, label)
    try:
        yield recorders
    finally:
        recorders.close()


@contextmanager
def tensorboard(directory: Path, resume_step: int) -> Generator[Recorders]:
    """TensorBoard alone, after what a run of `resume_step` steps recorded there; closed at the end."""
    boards = [TensorBoard(directory, purge_step=resume_step + 1)] if processes.writer() else []
    recorders = Recorders(boards, directory)
    try:
        yield recorders
    finally:
        recorders.close()


@contextmanager
def bar(label: str, total: int, unit: str = "episode") -> Generator[Callable[[int], None]]:
    """A progress bar with rate and time left; call what it gives with how many are done."""
    if not processes.writer():
        yield lambda done: None
        return
    console = Console(total, label=label, unit=unit)
    try:
        yield console.tick
    finally:
        console.close()


def peak_mib(device: str) -> float:
    """Most memory held so far, in MiB: of torch on a CUDA device, else of the process."""
    if torch.device(device).type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    # A child's ru_maxrss starts at what its parent held; the kernel also keeps the peak of this process.
    peak = _status_mib("VmHWM:")
    if peak is not None:
        return peak
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 2**20 if sys.platform == "darwin" else used / 2**10  # bytes there, KiB elsewhere


def held_mib(device: str) -> float:
    """Memory held now, in MiB: of torch on a CUDA device, else of the process (its peak where unknown)."""
    if torch.device(device).type == "cuda":
        return torch.cuda.memory_allocated(device) / 2**20
    held = _status_mib("VmRSS:")
    return peak_mib(device) if held is None else held


def _status_mib(key: str) -> float | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 2**10 for line in lines if line.startswith(key)), None)
