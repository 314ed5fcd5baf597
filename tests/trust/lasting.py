"""What a process holds: open files, threads, memory."""

from __future__ import annotations

import os
import resource
import threading
from pathlib import Path

_SELF = Path("/proc/self")


def files_open() -> int:
    """File descriptors of this process."""
    place = _SELF / "fd" if (_SELF / "fd").is_dir() else Path("/dev/fd")
    return len(os.listdir(place))


def threads_of() -> int:
    """Threads of this process, those of libraries included where the system tells."""
    return len(os.listdir(_SELF / "task")) if (_SELF / "task").is_dir() else threading.active_count()


def resident() -> int:
    """Bytes in memory; 0 where the system does not tell."""
    if not (_SELF / "statm").is_file():
        return 0
    return int((_SELF / "statm").read_text().split()[1]) * resource.getpagesize()
