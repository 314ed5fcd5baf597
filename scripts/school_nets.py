"""What the study of schools adds: its rows as tasks, nets that know the school, an anchor for values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metatl.data.counter import number
from metatl.data.many_targets import ManyTargets
from metatl.data.source import Tasks
from metatl.net import Net
from metatl.objectives.term import Anchor, Term, mean_over_rows
from metatl.types import Batch, Episode, Params, Split

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Schools(ManyTargets):
    """Rows [n, columns] of all schools; of: those of train, val and test; spread: points of one unit of y."""

    x: Tensor = torch.empty(0)
    y: Tensor = torch.empty(0)
    school: Ints = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    of: Any = None
    spread: float = 1.0

    @staticmethod
    def drawn(x: Any, y: Any, school: Any, seed: int) -> Schools:
        """60 % of each school's rows teach, 15 % choose, 25 % judge; columns are scaled by the first."""
        rng, school = np.random.default_rng(seed), school.astype(np.int64)
        parts: dict[str, list[Any]] = {"train": [], "val": [], "test": []}
        for one in range(int(school.max()) + 1):
            order = rng.permutation(np.flatnonzero(school == one))
            cuts = [round(0.6 * len(order)), round(0.75 * len(order))]
            for name, rows in zip(parts, np.split(order, cuts), strict=True):
                parts[name].append(rows)
        of = {name: np.concatenate(rows) for name, rows in parts.items()}
        teach, values = of["train"], torch.from_numpy(x.astype(np.float32))
        values = values[:, values[teach].std(0) > 0]
        values = (values - values[teach].mean(0)) / values[teach].std(0)
        score = torch.from_numpy(y.astype(np.float64))
        spread = float(score[teach].std())
        score = ((score - score[teach].mean()) / spread).float().unsqueeze(1)
        held = Batch(values[teach], score[teach])
        return Schools("ilea_school", {"meta_train": held}, "regression", values, score, school, of, spread)

    @property
    def width(self) -> int:
        """Columns."""
        return self.x.shape[1]

    @property
    def count(self) -> int:
        """Schools."""
        return int(self.school.max()) + 1

    def named(self) -> Schools:
        """The same with the school's number as a last column."""
        x = torch.cat([self.x, torch.from_numpy(self.school).float().unsqueeze(1)], 1)
        held = Batch(x[torch.from_numpy(self.of["train"])], self.parts["meta_train"].y)
        return replace(self, x=x, parts={"meta_train": held})

    def y_of(self, part: str) -> Tensor:
        """[n]: what is to be told, in units of y."""
        return self.y[torch.from_numpy(self.of[part]), 0].double()

    def school_of(self, part: str) -> Ints:
        """[n]: whose rows those of a part are."""
        return self.school[self.of[part]]

    def places(self, part: str, school: int) -> Ints:
        """Where a school's rows lie among those of a part."""
        return np.flatnonzero(self.school_of(part) == school)

    def sized(self, most: int = 35) -> Iterator[list[int]]:
        """Schools of about one size, some at a time: they are stacked."""
        order = sorted(range(self.count), key=lambda one: len(self.places("train", one)))
        for first in range(0, len(order), most):
            yield order[first : first + most]

    def episodes(self, schools: Sequence[int], part: str) -> Episode:
        """Support: the rows that teach; query: those of a part. Short ones end in rows of weight 0."""
        return Episode(self._stacked(schools, "train"), self._stacked(schools, part))

    def _stacked(self, schools: Sequence[int], part: str) -> Batch:
        rows = [self.of[part][self.places(part, one)] for one in schools]
        most = max(map(len, rows))
        at = torch.from_numpy(np.stack([np.resize(own, most) for own in rows]))
        weight = torch.tensor([[float(i < len(own)) for i in range(most)] for own in rows])
        return Batch(self.x[at], self.y[at], weight)

    def outputs(self, tasks: Tasks) -> int:
        """A score."""
        return 1

    def check(self, split: Split, tasks: Tasks) -> None:
        """Every school serves: rows of small ones are drawn with replacement."""

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """Schools at random, and rows of those that teach at random: shot of support, query others."""
        shot, query = tasks.one.shot, tasks.one.query
        size = shot + query
        held: list[Tensor] = []
        for index in range(first, first + count):
            rng = np.random.default_rng(number(seed, index, 7) % 2**63)
            own = self.of["train"][self.places("train", int(rng.integers(self.count)))]
            held.append(torch.from_numpy(rng.choice(own, size, replace=len(own) < size)))
        at = torch.stack(held)
        x, y = self.x[at], self.y[at]
        return Episode(Batch(x[:, :shot], y[:, :shot]), Batch(x[:, shot:], y[:, shot:]))


class Hard(nn.Module):
    """One trunk, an output layer for each school: y = w_s . relu(A x + a) + b_s."""

    def __init__(self, width: int, schools: int) -> None:
        super().__init__()
        self.width, self.trunk = width, nn.Sequential(nn.Linear(width, 32), nn.ReLU())
        self.heads = nn.Linear(32, schools)

    def forward(self, x: Tensor) -> Tensor:
        """x [n, width + 1], the school last -> [n, 1]."""
        return self.heads(self.trunk(x[:, : self.width])).gather(1, x[:, self.width :].long())


class Soft(nn.Module):
    """A net for each school: what all share, and what is its own, which starts at 0."""

    def __init__(self, width: int, schools: int) -> None:
        super().__init__()
        self.width, self.first, self.last = width, nn.Linear(width, 32), nn.Linear(32, 1)
        self.own_first = nn.Parameter(torch.zeros(schools, width + 1, 32))
        self.own_last = nn.Parameter(torch.zeros(schools, 33))

    def forward(self, x: Tensor) -> Tensor:
        """x [n, width + 1], the school last -> [n, 1]."""
        school, x = x[:, self.width].long(), x[:, : self.width]
        ones = torch.ones_like(x[:, :1])
        own = torch.einsum("nw,nwh->nh", torch.cat([x, ones], 1), self.own_first[school])
        hidden = torch.relu(self.first(x) + own)
        told = (torch.cat([hidden, ones], 1) * self.own_last[school]).sum(1, keepdim=True)
        return self.last(hidden) + told


def hard(width: int, schools: int, seed: int) -> Net:
    """Hard sharing, before it is learned."""
    torch.manual_seed(seed)
    return Net.of(Hard(width, schools), head="heads")


def soft(width: int, schools: int, seed: int) -> Net:
    """Soft sharing, before it is learned."""
    torch.manual_seed(seed)
    return Net.of(Soft(width, schools), head="last")


@dataclass(frozen=True)
class OfSchool(Term):
    """weight * sum over schools of |what is the school's own|^2: soft sharing (Evgeniou & Pontil 2004)."""

    weight: float = 1e-3

    def __call__(self, params: Params, output: Any, batch: Batch, anchor: Anchor) -> Tensor:
        """The penalty."""
        return self.weight * (params["own_first"].square().sum() + params["own_last"].square().sum())


@dataclass(frozen=True)
class KLOfValues(Term):
    """(1 - alpha) (y - f)^2 + alpha (f0 - f)^2, f0 the start's output: KL of normals of one variance."""

    alpha: float = 0.5

    needs_anchor = True
    needs_anchor_output = True

    def __call__(self, params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
        """The anchored loss, mean over rows."""
        assert anchor.output is not None
        own = mean_over_rows((output - batch.y).square(), batch.weight)
        held = mean_over_rows((output - anchor.output).square(), batch.weight)
        return (1 - self.alpha) * own + self.alpha * held
