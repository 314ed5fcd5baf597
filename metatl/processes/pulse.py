"""A sign of life, so that a process that is slow is told from one that has gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import final

import torch.distributed as dist

_BEAT, _PATIENCE = 2.0, 40.0
_DONE = 1 << 40


@final
class Pulse(threading.Thread):
    """Counts up in `marks` while this process lives, and calls `gone` when another has stopped counting.

    Process 0 watches all others and each of them process 0, whose end ends them all. A killed process breaks
    its connections and is noticed at once; this is for those that hang, or whose machine went away.

    failed: who failed first and with which exit code, once that is marked; it outlives the marks, which may
    go with process 0 before this process has noticed.
    """

    def __init__(self, marks: dist.Store, rank: int, world: int, gone: Callable[[], None]) -> None:
        super().__init__(name="metatl-pulse", daemon=True)
        self._marks, self._rank, self._gone, self._ended = marks, rank, gone, threading.Event()
        others = range(1, world) if rank == 0 else range(1)
        self.failed = ""
        self._seen = {other: (0, time.monotonic()) for other in others}

    def run(self) -> None:
        """Look, until `end`."""
        threading.Thread(target=self._beat, name="metatl-beat", daemon=True).start()
        while not self._ended.wait(_BEAT):
            oldest = min(when for _, when in list(self._seen.values()))
            if time.monotonic() - oldest > _PATIENCE and not self._ended.is_set():
                self._gone()

    def _beat(self) -> None:
        """In a thread of its own: where process 0 holds the marks and hangs, it waits for them for ever."""
        while not self._ended.wait(_BEAT):
            with suppress(RuntimeError):  # no answer counts as no sign of life
                self._marks.add(f"beat/{self._rank}", 1)
                if not self.failed and self._marks.check(["failed"]):
                    self.failed = self._marks.get("failed").decode()
                for other, (count, _) in self._seen.items():
                    found = self._marks.add(f"beat/{other}", 0)
                    if found != count or found >= _DONE:
                        self._seen[other] = found, time.monotonic()

    def end(self) -> None:
        """Stop; this process is not missed from now on."""
        self._ended.set()
        with suppress(RuntimeError):
            self._marks.add(f"beat/{self._rank}", _DONE)
        self.join(_BEAT)
