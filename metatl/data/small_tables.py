"""Random small tables: a prior over classification problems, from which a prior-fitted net learns."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from metatl.data.counter import bits, derived, normal, number, uniform
from metatl.data.source import SPLITS, Data, Kind, Source, Tasks, device_of, indices
from metatl.types import Batch, Episode, MetatlError, Split

_TABLE, _HIDDEN = 701, 16


@final
@dataclass(frozen=True)
class SmallTables(Source):
    """Tables with classes, each drawn from a random law of its own.

    Latent values z of a row are normal, their spectrum decays at a random rate. A column is a random mix of
    them, left as it is, bent (tanh, exp), or rounded to a few levels. The class is, about as often each, (a)
    which of a random net's outputs of z is the largest, (b) between which of its first output's quantiles a
    row lies, (c) a cluster's number, which has a centre and a spread of z of its own (the most often). Nets
    are nearly linear to strongly bent; classes have unequal shares, are numbered at random, and some rows'
    are drawn anew (noise).

    A task has 2 to `way` classes, 1 to `columns` columns (the others are 0), and 0 to way * shot support rows
    that count: the others have weight 0. (Prior-fitted networks, Müller et al. 2022, arXiv 2112.10510, on
    tables Hollmann et al. 2023, arXiv 2207.01848, whose priors are larger.)

    Args:
        columns: at most.
        latent: values of z.
        noise: most of a task's share of rows whose class is drawn anew.
    """

    embedded = True
    columns: int = 32
    latent: int = 16
    noise: float = 0.3

    def load(self, device: str = "cpu") -> SmallTablesData:
        """Nothing to read; MetatlError for no columns, or a share that is none."""
        if self.columns < 1 or self.latent < 1 or not 0 <= self.noise <= 1:
            raise MetatlError(
                f"SmallTables: columns is {self.columns}, latent {self.latent}, noise {self.noise}; give 1 "
                "or more columns and latent values, and a noise from 0 to 1"
            )
        return SmallTablesData(self, device_of(device))


@final
@dataclass(frozen=True)
class SmallTablesData(Data):
    """Tasks of the prior; `subsets` plays no part."""

    prior: SmallTables
    device: torch.device
    kind: Kind = "classification"
    name: str = "small tables"
    capturable: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Its columns."""
        return (self.prior.columns,)

    def outputs(self, tasks: Tasks) -> int:
        """The most classes of a task."""
        return tasks.one.way

    def classes(self, split: Split) -> int:
        """None that mean anything from task to task."""
        return 0

    def check(self, split: Split, tasks: Tasks) -> None:
        """Only way, shot and query have to make sense."""
        tasks.check(self.name)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """x [count, way * shot or query, columns] float32, with weights of the support rows."""
        self.check(split, tasks)
        way, shot, query = tasks.one
        key = bits(number(_TABLE, seed, SPLITS.index(split)), indices(first, count, self.device))
        x, y = _Law(self.prior, way, key).rows(way * (shot + query))
        counts = torch.floor(uniform(derived(key, 1)) ** 1.5 * (way * shot + 1))
        weight = (torch.arange(way * shot, device=self.device) < counts[:, None]).float()
        near, far = slice(0, way * shot), slice(way * shot, None)
        return Episode(Batch(x[:, near], y[:, near], weight), Batch(x[:, far], y[:, far]))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the prior and of the random words of episodes 0 .. count - 1."""
        digest = hashlib.sha256(repr((self.describe(), split, asdict(tasks))).encode())
        words = bits(number(_TABLE, seed, SPLITS.index(split)), indices(0, count, self.device))
        digest.update(words.cpu().numpy().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Rows of one task of two classes."""
        query = self.draw(split, Tasks(2, 1, -(-size // 2)), seed, step, 1).query
        return Batch(query.x[0, :size], query.y[0, :size])

    def describe(self) -> dict[str, Any]:
        """Name and prior."""
        return {"name": self.name, **asdict(self.prior)}


class _Law:
    """Random laws, one for each key [tasks]; every tensor has the tasks in front."""

    def __init__(self, prior: SmallTables, way: int, key: Tensor) -> None:
        self.prior, self.way, self.key = prior, way, key

    def _numbers(self, purpose: int, *shape: int, gaussian: bool = True) -> Tensor:
        count = torch.Size(shape).numel()
        words = bits(derived(self.key, purpose)[:, None], torch.arange(count, device=self.key.device))
        return (normal if gaussian else uniform)(words).float().reshape(-1, *shape)

    def _uniform(self, purpose: int, *shape: int) -> Tensor:
        return self._numbers(purpose, *shape, gaussian=False)

    def rows(self, count: int) -> tuple[Tensor, Tensor]:
        """x [tasks, count, columns], y [tasks, count]."""
        size = self.prior.latent
        spectrum = torch.exp(-torch.arange(size, device=self.key.device) * 0.6 * self._uniform(10, 1) ** 2)
        z = self._numbers(11, count, size)
        classes = torch.floor(2 + (self.way - 1) * self._uniform(12, 1) ** 1.5).clamp_max(self.way)
        share = torch.exp(0.7 * self._numbers(13, self.way)) * (torch.arange(self.way) < classes)
        edges = share.cumsum(-1) / share.sum(-1, keepdim=True)
        place, kind = self._uniform(14, count), 3 * self._uniform(15, 1)
        drawn = _between(edges, place)
        centres = self._numbers(16, self.way, size) * 3 * self._uniform(17, 1, 1)
        clustered = kind >= 1.6
        spread = torch.exp(0.5 * self._numbers(22, self.way)).gather(1, drawn)[..., None]
        moved = z * spread + centres.gather(1, drawn[..., None].expand_as(z))
        z = torch.where(clustered[..., None], moved, z)
        z = z * spectrum[:, None]
        y = torch.where(clustered, drawn, self._labelled(z, spectrum, edges, kind))
        again = self._uniform(18, count) < self.prior.noise * self._uniform(19, 1) ** 3
        y = torch.where(again, _between(edges, self._uniform(20, count)), y)
        order = (self._uniform(21, self.way) + (torch.arange(self.way) >= classes)).argsort(-1)
        return self._columns(z, spectrum), order.argsort(-1).gather(1, y)

    def _labelled(self, z: Tensor, spectrum: Tensor, edges: Tensor, kind: Tensor) -> Tensor:
        """By the outputs of a random net: the largest, or the quantiles of the first."""
        norm = spectrum.square().sum(-1).sqrt()[:, None, None]
        used = (self._uniform(30, z.shape[-1], 1) < 0.2 + 0.8 * self._uniform(31, 1, 1)).float()
        gain = torch.exp(2.5 * self._uniform(32, 1, 1) - 1.5)
        hidden = torch.tanh(
            gain
            * (
                z / norm * 2 @ (used * self._numbers(33, z.shape[-1], _HIDDEN))
                + self._numbers(34, 1, _HIDDEN)
            )
        )
        scores = hidden @ self._numbers(35, _HIDDEN, self.way)
        scores = (scores - scores.mean(1, keepdim=True)) / scores.std(1, keepdim=True).clamp_min(1e-6)
        ranks = scores[..., 0].argsort(1).argsort(1).float() / z.shape[1]
        there = torch.diff(edges, dim=-1, prepend=edges.new_zeros(edges.shape[0], 1)) > 0
        largest = scores.masked_fill(~there[:, None], -torch.inf).argmax(-1)
        return torch.where(kind < 0.8, largest, _between(edges, ranks))

    def _columns(self, z: Tensor, spectrum: Tensor) -> Tensor:
        size, most = z.shape[-1], self.prior.columns
        sparse = (self._uniform(40, size, most) < 0.1 + 0.9 * self._uniform(41, 1, 1)).float()
        own = torch.eye(size, device=z.device)[:, torch.arange(most, device=z.device) % size]
        x = z @ (sparse * self._numbers(42, size, most) + own)
        x = x + 0.3 * self._uniform(43, 1, 1) * self._numbers(44, z.shape[1], most)
        x = (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True).clamp_min(1e-6)
        how, mixed = self._uniform(45, 1, most), self._uniform(46, 1, 1) < 0.5
        levels = torch.floor(1 + 4 * self._uniform(47, 1, most))
        bent = torch.where(how < 0.2, torch.tanh(2 * x), torch.where(how < 0.4, torch.exp(0.8 * x), x))
        bent = torch.where(how > 0.7, torch.round(x * levels / 2 + self._numbers(48, 1, most) / 2), bent)
        count = torch.floor(1 + (most - 0.001) * self._uniform(49, 1) ** 1.5)
        there = torch.arange(most, device=z.device) < count
        return torch.where(mixed, bent, x) * there[:, None]


def _between(edges: Tensor, place: Tensor) -> Tensor:
    """The class between whose edges [tasks, classes] a place in [0, 1) lies, [tasks, rows]."""
    found = (place[..., None] >= edges[:, None]).sum(-1)
    return found.minimum((edges < edges[:, -1:]).sum(-1, keepdim=True))
