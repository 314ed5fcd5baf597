"""Run by path in one process of a job (see `ranks.started`): a command or a law, its output into a file.

`given`: the environment's RANK and so on, the file, a law's name or the words of a command, faults by name.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
import traceback
import types
from pathlib import Path
from typing import Any

import torch

from metatl.lab import cli
from metatl.processes import pulse

environment, log, words, faults = globals()["given"]
os.environ.update(environment)
# Other packages install their tests under this name too.
sys.modules["tests"] = types.ModuleType("tests")
sys.modules["tests"].__path__ = [str(Path(__file__).parent.parent)]
sys.dont_write_bytecode = True  # the laws' module, imported first in a fresh clone: no file of the job's
torch.set_num_threads(1)
if "patience" in faults:
    pulse._BEAT, pulse._PATIENCE = 0.1, faults["patience"]
if "slow" in faults:  # seconds that every step takes longer
    watch: Any = importlib.import_module("metatl.lab.run.learn")._Watch
    behind = watch.__call__

    def slowly(*given: Any) -> None:
        behind(*given)
        time.sleep(faults["slow"])

    watch.__call__ = slowly
own = faults.get("own", {}).get(int(environment["RANK"]), {})  # what is otherwise in this process alone
os.chdir(own.get("folder", "."))
if "versions" in own:
    provenance: Any = importlib.import_module("metatl.lab.provenance")
    known = provenance._version
    provenance._version = lambda package: own["versions"].get(package, known(package))
with open(log, "ab", buffering=0) as file:
    os.dup2(file.fileno(), 1)
    os.dup2(file.fileno(), 2)


def tell_of_writing(event: str, given: tuple[Any, ...]) -> None:
    """Every file that is opened for writing, made, renamed or removed goes into the log."""
    writes = event in ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "fcntl.flock")
    if event == "open" and isinstance(given[2], int):
        writes = bool(given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) and given[0] != os.devnull
    if writes and "torchinductor" not in str(given):  # torch makes a folder of its own
        os.write(2, f"wrote {event} {given}\n".encode())


if environment["RANK"] != "0":
    sys.addaudithook(tell_of_writing)
try:
    if isinstance(words, str):
        getattr(importlib.import_module("tests.processes.laws"), words)()
        code = 0
    else:
        code = cli.main(words)
    sys.stdout.flush()
    sys.stderr.flush()
except SystemExit as left:
    code = left.code
except BaseException:
    os.write(2, traceback.format_exc().encode())
    code = 1
os._exit(code)
