"""What process 0 read or made, in every process of a job; in a process alone, what it is given."""

from __future__ import annotations

import torch

from metatl import processes
from metatl.evaluation.evaluate import Report, to_device
from metatl.learners.learner import State
from metatl.types import Transfer


def transfer(mine: Transfer, device: str) -> Transfer:
    """Process 0's transfer, on a device."""
    return to_device(Transfer(*processes.same(mine.groups())), device)


def learned(mine: tuple[Transfer, float] | None, device: str) -> tuple[Transfer, float] | None:
    """Process 0's transfer, on a device, and the seconds it took; None where it has none."""
    found = processes.same(None if mine is None else (mine[0].groups(), mine[1]))
    return None if found is None else (to_device(Transfer(*found[0]), device), found[1])


def state(mine: tuple[State, float] | None) -> tuple[State, float] | None:
    """Process 0's state and the seconds it took; None where it has none."""
    plain = None if mine is None else (mine[0].transfer.groups(), mine[0].step, mine[0].memory, mine[1])
    found = processes.same(plain)
    return None if found is None else (State(Transfer(*found[0]), *found[1:3]), found[3])


def report(mine: Report | None) -> Report | None:
    """Process 0's report; None where it has none."""
    plain = None if mine is None else (mine.method, torch.from_numpy(mine.scores), mine.protocol, mine.facts)
    found = processes.same(plain)
    return None if found is None else Report(found[0], found[1].numpy(), *found[2:])
