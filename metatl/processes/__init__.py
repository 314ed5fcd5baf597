"""Several processes as one run, started by torchrun or by whatever sets RANK and WORLD_SIZE.

`job()` joins them; outside of it a process is alone and nothing here does anything. All processes of a job
make the same calls in the same order; process 0 writes files and speaks, the others compute.
"""

from metatl.processes.accord import agree, say
from metatl.processes.job import LostError, barrier, job, local, one_first, rank, world, writer
from metatl.processes.values import everyones, gathered, same, summed, take_card

__all__ = [
    "LostError",
    "agree",
    "barrier",
    "everyones",
    "gathered",
    "job",
    "local",
    "one_first",
    "rank",
    "same",
    "say",
    "summed",
    "take_card",
    "world",
    "writer",
]
