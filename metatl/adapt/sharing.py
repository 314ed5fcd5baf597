"""Ways that differ in what follows one beginning, answered together."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.around import Around
from metatl.net import Net
from metatl.types import Batch, Transfer


@dataclass(frozen=True)
class Sharing(Around):
    """Answers [ways, n, outputs] of ways that are the inner one but for its `late` fields: one beginning.

    What they answer is what each answers alone; a grid of such a field costs one fit.
    """

    ways: tuple[Adaptation, ...] = ()

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """What all of them begin with."""
        return self.adaptation.begun(net, transfer, support, key)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [ways, n, outputs], one after the other, so that one fit is held at a time."""
        return torch.stack(
            [way.predict(net, transfer, way.finished(fitted), support, x) for way in self.ways]
        )

    def spread(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Variances [ways, n, outputs] of a real target."""
        return torch.stack([way.spread(net, transfer, way.finished(fitted), support, x) for way in self.ways])


def alike(ways: Sequence[Adaptation]) -> list[list[int]]:
    """Places of ways that can share a beginning, in the order of their first ones."""
    found: list[tuple[Adaptation, list[int]]] = []
    for i, way in enumerate(ways):
        for first, places in found:
            if type(way) is type(first) and _with(way, _late(first)) == first:
                places.append(i)
                break
        else:
            found.append((way, [i]))
    return [places for _, places in found]


def _with(way: Any, values: dict[str, Any]) -> Adaptation:
    return replace(way, **values) if values else way


def _late(way: Adaptation) -> dict[str, Any]:
    return {name: getattr(way, name) for name in way.late}
