"""Where the processes of one attempt meet."""

from __future__ import annotations

import os
import secrets
import time
from dataclasses import dataclass
from datetime import timedelta

import torch.distributed as dist

from metatl.types import MetatlError

_PATIENCE = timedelta(minutes=5)
_ANSWER = timedelta(seconds=5)
"""How long a look at the marks may take; where process 0 holds them and hangs, all looks do."""


@dataclass(frozen=True)
class Job:
    """The place of this process in a job, and what all of its processes can read and write.

    group: for the process group; marks: for everything else, from any thread; hosted: whether both end with
    process 0, and not with a launcher.
    """

    rank: int
    world: int
    local: int
    group: dist.Store
    marks: dist.Store
    hosted: bool


def meet() -> Job:
    """Meet the processes that the environment names.

    Raises MetatlError where the environment is not whole, RuntimeError where a process does not come.
    """
    names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    missing = [name for name in names if not os.environ.get(name)]
    if missing:
        raise MetatlError(f"WORLD_SIZE is set, {missing[0]} is not; start with torchrun or unset WORLD_SIZE")
    try:
        rank, world, port = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "MASTER_PORT"))
        local = int(os.environ.get("LOCAL_RANK") or os.environ.get("SLURM_LOCALID") or rank)
    except ValueError as error:
        raise MetatlError(f"RANK, WORLD_SIZE, LOCAL_RANK and MASTER_PORT are numbers ({error})") from error
    host, hosted = os.environ["MASTER_ADDR"], os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    store = dist.TCPStore(
        host, port, is_master=hosted and rank == 0, timeout=_PATIENCE, wait_for_workers=False
    )
    attempt = _gather(store, world) if rank == 0 else _come(store, rank)
    again = dist.TCPStore(host, port, is_master=False, timeout=_ANSWER, wait_for_workers=False)
    group, marks = (dist.PrefixStore(f"metatl/{attempt}", one) for one in (store, again))
    return Job(rank, world, local, group, marks, hosted)


def _gather(store: dist.Store, world: int) -> int:
    """Number this attempt and tell the others, by the words that they left; the number.

    A launcher that restarts processes keeps its store with what the last attempt left in it, so an old word
    may be answered too; nobody waits for that answer.
    """
    attempt, end = store.add("metatl/attempts", 1), time.monotonic() + _PATIENCE.total_seconds()
    answered: set[str] = set()
    while store.add(f"metatl/{attempt}/came", 0) < world - 1:
        for other in range(1, world):
            place = f"metatl/word/{other}"
            word = store.get(place).decode() if store.check([place]) else ""
            if word and word not in answered:
                store.set(f"metatl/answer/{word}", str(attempt))
                answered.add(word)
        if time.monotonic() > end:
            raise RuntimeError("not all processes came")
        time.sleep(0.02)
    return attempt


def _come(store: dist.Store, rank: int) -> int:
    """Leave a word for process 0 and wait for its answer: the number of this attempt."""
    word = secrets.token_hex(8)
    store.set(f"metatl/word/{rank}", word)
    attempt = int(store.get(f"metatl/answer/{word}"))
    store.add(f"metatl/{attempt}/came", 1)
    return attempt
