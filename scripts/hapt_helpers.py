"""What the study of helpers learns: HAPT's windows, few with their activity, and the helpers' targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.aggregates import Aggregate
from metatl.data import LabelledRows
from metatl.data.many_targets import ManyTargets
from metatl.data.masked import Masked
from metatl.engines import Loop
from metatl.learners import Supervised
from metatl.models import SharedTrunk
from metatl.net import Net
from metatl.objectives import OfTarget
from metatl.objectives.term import Seen, Term
from metatl.rules import Adam
from metatl.train import train
from metatl.types import Batch, Params

CHOOSING = 5
"""People who choose rates."""


@dataclass(frozen=True)
class Filled(Term):
    """Mean squared error of what the net fills in at masked places, of the stream `masked`."""

    streams: tuple[str, ...] = ("masked",)

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The error."""
        y, output = seen.batches["masked"].y, seen.passes["masked"].output["masked"]
        mask = y["masked"].flatten(1).to(output)
        return ((output - y["values"].flatten(1)).square() * mask).sum() / mask.sum().clamp_min(1.0)


@dataclass(frozen=True)
class Windows:
    """One draw: x [n, 6, 1, 128], targets by name, and the rows that teach, choose and judge."""

    x: Tensor
    y: Mapping[str, Tensor]
    parts: Mapping[str, Tensor]

    @staticmethod
    def drawn(held: Mapping[str, Any], seed: int, labelled: int) -> Windows:
        """People who choose and labelled windows are the draw's own."""
        rng, person = np.random.default_rng(seed), held["subject"].astype(np.int64)
        choosing = rng.permutation(held["train_subjects"])[:CHOOSING]
        judging = np.isin(person, held["test_subjects"])
        val = np.isin(person, choosing)
        teach = np.flatnonzero(~judging & ~val)
        x = torch.from_numpy(held["x"].astype(np.float32) * held["scale"][:, None])
        mean, spread = (fn(x[teach], (0, 2)) for fn in (torch.mean, torch.std))
        x = ((x - mean[:, None]) / spread[:, None]).unsqueeze(2)
        activity = torch.from_numpy(held["y"].astype(np.int64) - 1)
        known = torch.full_like(activity, -1)
        for one in range(int(activity.max()) + 1):
            own = rng.permutation(teach[activity[teach].numpy() == one])[:labelled]
            known[own] = activity[own]
        y = {"activity": activity, "known": known, "person": _numbered(person[teach], teach, len(person))}
        y["recording"] = _numbered(held["experiment"][teach], teach, len(person))
        y["shuffled"] = torch.full_like(activity, -1)
        y["shuffled"][teach] = y["person"][teach][torch.from_numpy(rng.permutation(len(teach)))]
        parts = {"train": teach, "val": np.flatnonzero(val), "test": np.flatnonzero(judging)}
        return Windows(x, y, {name: torch.from_numpy(rows) for name, rows in parts.items()})

    def learned(
        self, helpers: Sequence[str], made: Aggregate | None, rate: float, steps: int, seed: int
    ) -> Any:
        """A part -> outputs of the activity; labelled windows and helpers' are streams of their own."""
        size = self.x[0].numel()
        counts = {one: size if one == "masked" else int(self.y[one].max()) + 1 for one in helpers}
        torch.manual_seed(seed)
        net = Net.of(SharedTrunk((6, 1, 128), 1, {"activity": 12, **counts}, (16, 32, 32), (64,)))
        teach, known = self.parts["train"], torch.nonzero(self.y["known"] >= 0)[:, 0]
        data = ManyTargets(
            "hapt",
            {
                "meta_train": Batch(self.x[known], {"activity": self.y["known"][known]}),
                "meta_val": Batch(self.x[teach], {n: self.y[n][teach] for n in counts if n != "masked"}),
            },
        )
        streams: dict[str, Any] = {"source": LabelledRows("meta_train", 64)}
        terms: list[Term] = [OfTarget("activity")]
        for one in helpers:
            if one == "masked":
                streams["masked"] = Masked("meta_val", 64, 0.25, "zero")
                terms.append(Filled())
            else:
                streams["helpers"] = LabelledRows("meta_val", 64)
                terms.append(OfTarget(one, stream="helpers"))
        learner = Supervised(steps, 64, Adam(rate), tuple(terms), streams=streams, aggregate=made)
        given = train(learner, net, Loop(), learner.init(net, net.start()), data, seed).transfer

        def of(part: str) -> Tensor:
            with torch.no_grad():
                found: Tensor = net(given.params, given.buffers, self.x[self.parts[part]])["activity"]
            return found

        return of


def _numbered(names: Any, rows: Any, count: int) -> Tensor:
    """[count]: the number of a row's name among those of `rows`, -1 elsewhere."""
    found = torch.full((count,), -1)
    found[rows] = torch.from_numpy(np.unique(names, return_inverse=True)[1])
    return found
