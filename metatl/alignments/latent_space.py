"""A shared latent space as an alignment: unlike inputs, labelled on both sides and not paired."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from metatl.alignments.alignment import Alignment, TwoDomains, together
from metatl.alignments.latent import SharedLatent
from metatl.types import Batch, MetatlError


@dataclass(frozen=True)
class LatentSpace(Alignment):
    """Two encoders to one space in which classes have one mean, learned together (`SharedLatent`).

    Inputs are standardised, each domain by its own labelled rows.

    Args:
        latent: the encoders, and how they are learned.
        seed: of their first weights.
    """

    latent: SharedLatent = SharedLatent()
    seed: int = 0
    reads: ClassVar[tuple[str, ...]] = ("source",)
    needs_labels: ClassVar[bool] = True
    unlike: ClassVar[bool] = True

    def fit(self, domains: TwoDomains) -> tuple[Batch, Any]:
        """Both domains' labelled rows in the space; the target's encoder."""
        source, labelled = domains.source, domains.labelled
        if source.y.is_floating_point():
            raise MetatlError("LatentSpace brings classes together, and these are other targets")
        (x, _), (z, scale) = _standardised(source.x.float()), _standardised(labelled.x.float())
        classes = int(torch.cat([source.y, labelled.y]).max()) + 1
        made = self.latent.fit(x, source.y, z, labelled.y, classes, self.seed)
        layers = [one for one in cast(nn.Sequential, made.target) if isinstance(one, nn.Linear)]
        leaves = tuple((one.weight.detach().clone(), one.bias.detach().clone()) for one in layers)
        fitted = {**scale, "layers": leaves}
        with torch.no_grad():
            rows = source._replace(x=made.source(x)), labelled._replace(x=made.target(z))
        return together(*rows), fitted

    def target(self, fitted: Any, x: Tensor) -> Tensor:
        """Rows [n, width]."""
        found = (x.float() - fitted["mean"]) / fitted["deviation"]
        first, last = fitted["layers"]
        return nn.functional.linear(nn.functional.linear(found, *first).relu(), *last)


def _standardised(x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    mean, deviation = x.mean(0), x.std(0, correction=0)
    deviation = torch.where(deviation > 0, deviation, 1.0)
    return (x - mean) / deviation, {"mean": mean, "deviation": deviation}
