"""Random linear functions (Garg et al. 2022, arXiv 2208.01066): every task has weights of its own."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, final

import torch
from torch import Tensor

from metatl.data.counter import bits, derived, normal, number
from metatl.data.source import SPLITS, Data, Kind, Source, Tasks, device_of, indices
from metatl.types import Batch, Episode, MetatlError, Split

_FUNCTION, _MIXED = 711, 712


@final
@dataclass(frozen=True)
class LinearFunctions(Source):
    """y = w x + noise e, with w, x ~ N(0, I) and e ~ N(0, 1); x is multiplied by `scale` (y is of that x).

    Nearly normal: sums of four uniform numbers, never beyond 3.5 (`counter.normal`).

    Args:
        dimensions: of x.
        noise: deviation of what is added to y.
        scale: of x; other than 1 where a net is asked about inputs that it was not trained on.
    """

    embedded = True
    dimensions: int = 5
    noise: float = 0.0
    scale: float = 1.0

    def load(self, device: str = "cpu") -> LinearFunctionsData:
        """Nothing to read; MetatlError for no dimension, or a negative deviation."""
        if self.dimensions < 1 or not self.noise >= 0 or not self.scale > 0:
            raise MetatlError(
                f"LinearFunctions: {self.dimensions} dimensions, noise {self.noise}, scale {self.scale}; "
                "give 1 dimension or more, a noise of 0 or more and a scale above 0"
            )
        return LinearFunctionsData(self, device_of(device))


@final
@dataclass(frozen=True)
class LinearFunctionsData(Data):
    """Functions drawn one by one; `way` and `subsets` play no part."""

    source: LinearFunctions
    device: torch.device
    kind: Kind = "regression"
    name: str = "linear functions"
    capturable: ClassVar[bool] = True

    @property
    def shape(self) -> tuple[int, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Its dimensions."""
        return (self.source.dimensions,)

    def outputs(self, tasks: Tasks) -> int:
        """One: the value."""
        return 1

    def classes(self, split: Split) -> int:
        """None: this is regression."""
        return 0

    def check(self, split: Split, tasks: Tasks) -> None:
        """Only shot and query have to make sense."""
        tasks.check(self.name)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """x [count, shot or query, dimensions], y [count, shot or query, 1] float32."""
        self.check(split, tasks)
        sizes = [tasks.one.shot, tasks.one.query]
        x, y = self._points(self._keys(_FUNCTION, split, seed, first, count), sum(sizes))
        near, far = ((a, b) for a, b in zip(x.split(sizes, 1), y.split(sizes, 1), strict=True))
        return Episode(Batch(*near), Batch(*far))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the ranges and of the random words of episodes 0 .. count - 1."""
        digest = hashlib.sha256(repr((self.describe(), split, tasks.one.shot, tasks.one.query)).encode())
        digest.update(self._keys(_FUNCTION, split, seed, 0, count).cpu().numpy().astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Every row from a function of its own."""
        x, y = self._points(self._keys(_MIXED, split, seed, step * size, size), 1)
        return Batch(x[:, 0], y[:, 0])

    def describe(self) -> dict[str, Any]:
        """Name and values."""
        return {"name": self.name, **asdict(self.source)}

    def _keys(self, purpose: int, split: Split, seed: int, first: int, count: int) -> Tensor:
        return bits(number(purpose, seed, SPLITS.index(split)), indices(first, count, self.device))

    def _points(self, key: Tensor, rows: int) -> tuple[Tensor, Tensor]:
        """x is rounded to float32 first: y belongs to the very x that a net is given."""
        size = self.source.dimensions
        w, x, e = (
            normal(bits(derived(key, purpose)[:, None], torch.arange(n, device=self.device)))
            for purpose, n in ((0, size), (1, rows * size), (2, rows))
        )
        x = (self.source.scale * x.unflatten(1, (rows, size))).float()
        y = (x.double() @ w.unsqueeze(-1)) + self.source.noise * e.unsqueeze(-1)
        return x, y.float()
