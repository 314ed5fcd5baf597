"""Processes of a job for tests: forked from one that has imported everything, a tenth of a second each."""

from __future__ import annotations

import multiprocessing
import os
import re
import runpy
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from tests.commands import Said


@dataclass(frozen=True)
class Rank:
    """One process of a job, and the file that it speaks into."""

    process: ForkServerProcess
    log: Path

    def ended(self, patience: float = 60.0) -> Said:
        """What it said once it has ended: `lines` without those of progress."""
        self.process.join(patience)
        text = self.log.read_text()
        assert self.process.exitcode is not None, f"still there after {patience} s: {text[-3000:]}"
        lines = [line for line in text.splitlines() if not re.search(r"\d/\d+ \(\d+ %\)", line)]
        return Said(self.process.exitcode, text, lines)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def started(what: Sequence[str | Path] | str, world: int, folder: Path, **faults: Any) -> list[Rank]:
    """A command (words) or a law (the name of a function) in as many processes.

    only: words for one of them in the place of the others', by rank; own: its folder, or versions; further
    faults as in `one_process`.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["metatl.lab.commands", "torch.utils.tensorboard"])
    folder.mkdir(parents=True, exist_ok=True)
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    script, other = str(Path(__file__).with_name("one_process.py")), faults.pop("only", {})
    ranks: list[Rank] = []
    for rank in range(world):
        words = other.get(rank, what)
        words = words if isinstance(words, str) else [str(word) for word in words]
        numbers = {"WORLD_SIZE": str(world), "RANK": str(rank), "LOCAL_RANK": str(rank)}
        log = folder / f"{len(list(folder.glob('*.log')))}-of-{world}.log"
        log.touch()
        given = ({**shared, **numbers}, str(log), words, faults)
        process = context.Process(target=runpy.run_path, args=(script, {"given": given}))
        process.start()
        ranks.append(Rank(process, log))
    return ranks


def ended(ranks: Sequence[Rank]) -> list[Said]:
    """What each of them said."""
    try:
        return [rank.ended() for rank in ranks]
    finally:
        for rank in ranks:
            rank.process.kill()


def done(what: Sequence[str | Path] | str, world: int, folder: Path, **faults: Any) -> str:
    """What process 0 said; all went well, and the others said nothing and wrote nothing."""
    first, *others = ended(started(what, world, folder, **faults))
    assert first.code == 0, "\n".join(one.out[-3000:] for one in (first, *others))
    for other in others:
        assert (other.code, other.out) == (0, ""), f"{other.code}: {other.out[-3000:]}"
    return first.out


def wait_for(found: Callable[[], bool], patience: float = 60.0) -> None:
    """Until something is there."""
    end = time.monotonic() + patience
    while not found():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
