"""The halves of the rounds of deliberated domain bridging, and who learns in each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from metatl.data import Bridge, Domain, MixedUp
from metatl.learners.learner import Learner
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.objectives import Bridged, TaskLoss
from metatl.types import Batch, Transfer


class Halves(NamedTuple):
    """2 `rounds` stretches of as equal lengths as may be, `steps` in all."""

    steps: int
    rounds: int

    @property
    def ends(self) -> list[int]:
        """Where each begins, and the end of the last."""
        return [self.steps * i // (2 * self.rounds) for i in range(2 * self.rounds + 1)]

    def place(self, step: int) -> tuple[int, int, bool]:
        """Which half a step lies in, its place there, and whether it is the last one there."""
        ends = self.ends
        half = next(i for i, end in enumerate(ends[1:]) if step < end)
        return half, step - ends[half], step + 1 == ends[half + 1]


def learners(
    path: Learner, halves: Halves, bridges: tuple[Bridge, Bridge], threshold: float, half: int
) -> dict[str, Any]:
    """Two paths in even halves, a student in odd ones: the path with terms and streams, by name."""
    plain: Any = replace(cast(Any, path), steps=halves.ends[half + 1] - halves.ends[half])
    size = plain.batch_size
    own = {"student": MixedUp(size, 0.0)} if half % 2 else {"one": bridges[0], "two": bridges[1]}
    terms = TaskLoss(), Bridged(threshold=0.0 if half % 2 else threshold)
    return {
        name: replace(plain, terms=terms, streams={"target": Domain(size=size), "bridge": one})
        for name, one in own.items()
    }


def shares_of(net: Net, teacher: Transfer, rows: dict[str, Batch]) -> Tensor:
    """Shares of classes [n, classes] of the target's rows, with running moments."""
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        return net(teacher.params, teacher.buffers, rows["target"].x).softmax(-1)
