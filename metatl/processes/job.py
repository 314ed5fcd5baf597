"""Joining the processes of a job, and leaving it with one line whatever happens to any of them."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from datetime import timedelta
from typing import NoReturn

import torch.distributed as dist

from metatl.processes.meet import Job, meet
from metatl.processes.pulse import Pulse
from metatl.types import MetatlError

_AGAIN = "the same command goes on from the last checkpoint, with any number of processes"
_GONE = f"another process of this job has gone (killed, out of memory, or its machine stopped); {_AGAIN}"
_STOPPED = f"the launcher stopped this process, since another one failed or the whole job was ended; {_AGAIN}"
_ASKED = 4.0  # seconds that a process which ends waits to hear who failed first
_LONGEST = timedelta(hours=2)
"""Of a wait for others at work, a download say. A process that died is noticed at once or by its pulse."""


class LostError(Exception):
    """Another process of the job has gone, or the job was stopped; said in one line."""


_joined: list[Job] = []


def world() -> int:
    """Number of processes; 1 outside of a job."""
    return _joined[0].world if _joined else 1


def rank() -> int:
    """The place of this process among them, from 0."""
    return _joined[0].rank if _joined else 0


def local() -> int:
    """The place of this process among those of its machine, from 0."""
    return _joined[0].local if _joined else 0


def writer() -> bool:
    """Whether this process writes files, shows progress and prints; exactly one does."""
    return rank() == 0


@contextmanager
def job() -> Generator[None]:
    """Join the processes that the environment names; nothing at all where it names one or none.

    An exception in any process ends them all. The first to fail lets its exception through; the others leave
    with SystemExit and its code (2 for MetatlError, 130 for an interrupt, else 1), so one line is said.
    Raises LostError where a process has gone, MetatlError where the environment is not whole.
    """
    if os.environ.get("WORLD_SIZE", "1") == "1" or _joined:
        yield
        return
    with reaching("a process of this job did not come; start as many as WORLD_SIZE says"):
        one = meet()
    _joined.append(one)
    pulse = Pulse(one.marks, one.rank, one.world, lambda: _die(one, pulse))
    pulse.start()
    try:
        with ExitStack() as stack:
            stack.enter_context(_stopped_by_launcher())
            if one.rank:
                stack.enter_context(_silent())
            with reaching():
                dist.init_process_group(
                    "gloo", timeout=_LONGEST, store=one.group, rank=one.rank, world_size=one.world
                )
            yield
    except (Exception, KeyboardInterrupt) as error:
        code = 2 if isinstance(error, MetatlError) else 130 if isinstance(error, KeyboardInterrupt) else 1
        said = _said(one, pulse, code)
        # A group that failed ends with the process: taking it down may wait for those who have gone.
        _leave(one, pulse, take_down=one.hosted and one.rank == 0)
        if said is not None:
            raise SystemExit(said) from None
        raise
    except BaseException:  # --help
        _leave(one, pulse, take_down=True)
        raise
    else:
        _leave(one, pulse, take_down=True)


@contextmanager
def reaching(line: str = _GONE) -> Generator[None]:
    """Around a call that other processes take part in: LostError where one of them has gone."""
    try:
        yield
    except RuntimeError as error:
        _leaving()
        raise LostError(line) from error


def barrier() -> None:
    """Wait until every process is here."""
    if _joined:
        with reaching():
            dist.barrier()


@contextmanager
def one_first() -> Generator[None]:
    """The first process of each machine goes ahead (it fills caches); the others follow it."""
    leads = local() == 0
    if not leads:
        barrier()
    yield
    if leads:
        barrier()


@contextmanager
def _silent() -> Generator[None]:
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _stopped_by_launcher() -> Generator[None]:
    """SIGTERM, which a launcher sends when any process failed, becomes LostError: progress is kept."""

    def stop(*_: object) -> NoReturn:
        _leaving()
        raise LostError(_STOPPED)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except BaseException:
        _leaving()
        raise
    signal.signal(signal.SIGTERM, before)


def _leaving() -> None:
    """This process ends anyway, and still has a checkpoint to write and a line to say."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _said(one: Job, pulse: Pulse, code: int) -> int | None:
    """None for the first process to fail, whose line is said; for the others the exit code of the first."""
    mine = f"{one.rank} {code}"
    try:
        held = one.marks.compare_set("failed", "", mine).decode()
    except RuntimeError:  # process 0 held the marks and has gone: without a mark nobody may have said so
        held = pulse.failed or mine
    return None if held == mine else int(held.split()[1])


def _die(one: Job, pulse: Pulse) -> NoReturn:
    """End this process from another thread: the main one waits for somebody who has gone."""
    answers: list[int | None] = []
    asked = threading.Thread(target=lambda: answers.append(_said(one, pulse, 1)), daemon=True)
    asked.start()
    asked.join(_ASKED)
    if not answers or answers[0] is None:  # marks that do not answer hang with process 0: say it
        sys.stderr.write(f"metatl: {_GONE}\n")
        sys.stderr.flush()
    os._exit(1)


def _leave(one: Job, pulse: Pulse, take_down: bool) -> None:
    """Leave the job; where the marks end with process 0, it stays a moment for the others to read them."""
    pulse.end()
    _joined.clear()
    if take_down and dist.is_initialized():
        with suppress(RuntimeError):
            dist.destroy_process_group()
    with suppress(RuntimeError):
        left = one.marks.add("left", 1)
        end = time.monotonic() + 5.0
        while one.hosted and one.rank == 0 and left < one.world and time.monotonic() < end:
            time.sleep(0.05)
            left = one.marks.add("left", 0)


def machine() -> str:
    """The name of this machine."""
    return socket.gethostname()
