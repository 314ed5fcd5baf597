"""Run by path in a process of its own (see `commands.in_process`): one command, its output into a file.

`given`: the words of the command, the file, seconds between checkpoints (None: as always), what stands in the
environment (the server was started in another), faults by name.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import resource
import sys
import time
from typing import Any

import torch

from metatl.lab import cli

words, log, every, environment, faults = globals()["given"]
os.environ.update(environment)
learning: Any = importlib.import_module("metatl.lab.run.learn")
torch.set_num_threads(1)

if every is not None:
    kept = learning.Checkpoints
    learning.Checkpoints = lambda path: kept(path, every)
if "clock" in faults:  # seconds that the clock has gone ahead, or back
    real = time.time
    time.time = lambda: real() + faults["clock"]
if "largest" in faults:  # bytes that a file may have: what lies beyond fails as on a full disk
    resource.setrlimit(resource.RLIMIT_FSIZE, (faults["largest"], faults["largest"]))
if faults.get("mortal") and os.geteuid() == 0:  # root without its powers: file modes hold for it too
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    ctypes.CDLL(None).capset(header, (ctypes.c_uint32 * 6)())
if faults.get("plain"):  # pictures take seconds, and are tested elsewhere
    learning.record.record_guide = lambda *_: None
if "slow" in faults:  # seconds that every step takes longer
    behind, pause = learning._Watch.__call__, faults["slow"]

    def slowly(*given: Any) -> None:
        behind(*given)
        time.sleep(pause)

    learning._Watch.__call__ = slowly

with open(log, "ab", buffering=0) as file:
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)
for number, name in ((1, "stdout"), (2, "stderr")):
    if faults.get(name) == "closed":  # as behind `>&-`
        os.close(number)
        setattr(sys, name, None)
    elif faults.get(name) == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), number)
        setattr(sys, name, os.fdopen(number, "w", closefd=False))
try:
    code = cli.main(words)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()  # as Python does at its end
except BaseException:
    import traceback

    os.write(2, traceback.format_exc().encode())
    code = 1
os._exit(code)
