"""Canonical correlations as an alignment: unlike inputs of which some rows are of the same things."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from metatl.alignments.alignment import Alignment, TwoDomains, together
from metatl.alignments.correlations import Paired, paired
from metatl.types import Batch, MetatlError


@dataclass(frozen=True)
class CanonicalCorrelations(Alignment):
    """What two views of one thing have in common: x -> sqrt(c) a'(x - m_S), z -> sqrt(c) b'(z - m_T).

    a, b, c: directions and correlations of the paired rows (`correlations.paired`), of which no label is
    read. sqrt(c) makes either side the mean of a hidden cause given that view, so that directions in which
    the views have little in common count little. Sources: Hotelling 1936, Biometrika 28; Bach & Jordan
    2005, TR 688, Berkeley (the hidden cause).

    Args:
        dimensions: directions, as far as columns and pairs allow.
        ridge: added to either side's covariance, as a share of its mean variance.
    """

    dimensions: int = 20
    ridge: float = 1e-1
    reads: ClassVar[tuple[str, ...]] = ("source", "paired")
    unlike: ClassVar[bool] = True

    def __post_init__(self) -> None:
        """Refuse a space without dimensions, and a negative ridge."""
        if self.dimensions < 1 or not self.ridge >= 0:
            raise MetatlError("CanonicalCorrelations: dimensions from 1 on, ridge from 0 on")

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """Both domains' labelled rows in the space; the target's mean and map."""
        made = self._made(domains)
        scale = made.correlations.clamp_min(0).sqrt()
        fitted = {"mean": made.means[1], "map": made.other * scale}
        x = (made.first(domains.source.x) * scale).to(domains.source.x.dtype)
        labelled = domains.labelled._replace(x=self.target(fitted, domains.labelled.x))
        return together(domains.source._replace(x=x), labelled), fitted

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """Rows [n, k]."""
        return ((x.double() - fitted["mean"]) @ fitted["map"]).to(x.dtype)

    def told(self, domains: TwoDomains) -> str:
        """How many pairs there are, and how much the views have in common."""
        made, pairs = self._made(domains), domains.paired
        some = ", ".join(f"{one:.2f}" for one in made.correlations[:5].tolist())
        return f"{0 if pairs is None else len(pairs[0])} pairs, largest correlations {some}"

    def _made(self, domains: TwoDomains) -> Paired:
        """Directions and correlations; MetatlError for fewer than two pairs."""
        if domains.paired is None or len(domains.paired[0]) < 2:
            raise MetatlError("CanonicalCorrelations: two pairs or more of rows that do not judge are needed")
        x, z = domains.paired
        return paired(x, z, min(self.dimensions, x.shape[1], z.shape[1], len(x) - 1), self.ridge)
