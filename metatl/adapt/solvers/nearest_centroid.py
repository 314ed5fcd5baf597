"""The nearest class mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from metatl.adapt.solvers import solver
from metatl.adapt.solvers.solver import ABSENT, Solver, as_features
from metatl.types import MetatlError, Params


class Centroids(NamedTuple):
    """shift [d]: what is taken off every feature; means [outputs, d]; missing [outputs]: ABSENT, or 0."""

    shift: Tensor
    means: Tensor
    missing: Tensor


@dataclass(frozen=True)
class NearestCentroid(Solver):
    """Logits -|z - c_k|^2 / temperature, with c_k the (weighted) mean of class k's support features z.

    z = x - m, where `centred`, with m the mean feature of the source where one is carried (learner
    `SourceMean`: SimpleShot's CL2N as published, Wang et al. 2019, arXiv 1911.04623), else of all support
    rows; then z / |z| where `unit`. With neither it is ProtoNet (Snell, Swersky & Zemel 2017, arXiv
    1703.05175). A class without a row gets a logit that is never chosen.

    Args:
        centred: take a mean off.
        unit: scale every feature vector to length 1.
        temperature: divides the logits; changes no decision.
    """

    centred: bool = True
    unit: bool = True
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a temperature that turns decisions round."""
        if not self.temperature > 0:
            raise MetatlError(f"NearestCentroid: temperature is {self.temperature}; give a number above 0")

    @property
    def rotation_invariant(self) -> bool:
        """Distances are."""
        return True

    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Centroids:
        """Class means [outputs, d] by (weighted) sums over rows, centred by these rows' own mean."""
        return self.fit_under({}, features, y, outputs, weight)

    def fit_under(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Centroids:
        """The same, centred by the prior's `centre` [d] where there is one."""
        solver.check_labels(self, y)
        solver.check_rows(features, y, outputs, weight)
        x, rows = features.double(), solver.row_weights(features, weight)
        shift = torch.zeros_like(x[0])
        if self.centred:
            shift = prior["centre"].to(x) if "centre" in prior else rows @ x / rows.sum()
        member = solver.one_hot(y, outputs) * rows.unsqueeze(-1)
        count = member.sum(0)
        means = member.T @ self._prepared(x, shift) / count.clamp_min(1e-300).unsqueeze(-1)
        missing = torch.where(count > 0, 0.0, ABSENT)
        return Centroids(*(as_features(features, value) for value in (shift, means, missing)))

    def predict(self, fitted: Centroids, features: Tensor) -> Tensor:
        """-|z - c_k|^2 / temperature, [n, outputs]."""
        # |z|^2 - 2 z c + |c|^2 without the [n, outputs, d] differences, whose digits float64 keeps.
        z, means = features.double() - fitted.shift.double(), fitted.means.double()
        size = z.norm(dim=-1, keepdim=True)
        length = self._length(size)
        own = (size / length).square()
        far = own - 2.0 * (z @ means.T) / length + means.square().sum(-1)
        logits = as_features(features, -far.clamp_min(0.0) / self.temperature)
        return torch.where(fitted.missing == 0, logits, fitted.missing)

    def _prepared(self, x: Tensor, shift: Tensor) -> Tensor:
        z = x - shift
        return z / self._length(z.norm(dim=-1, keepdim=True)) if self.unit else z

    def _length(self, size: Tensor) -> Tensor:
        """What rows of these norms are divided by, [n, 1]."""
        return size.clamp_min(1e-12) if self.unit else torch.ones_like(size)
