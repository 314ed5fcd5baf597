"""Adaptation from a source's labelled rows to a target with few labelled rows, or none."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.closed_form import ClosedForm
from metatl.adapt.head_net import head_net
from metatl.alignments import Alignment, AsItIs, Domains
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer

STREAMS = "a source's rows and the target's as named streams, which 'metatl transfer --source' gives"


@dataclass(frozen=True)
class AcrossDomains(Adaptation):
    """An alignment of the domains' features, then an adaptation to the rows that it makes.

    Its support holds streams by name: x of `labelled`, `source` and `unlabelled`, y of the first two. Rows
    without streams are of both domains at once (identical ones). Nothing moves below the output layer.

    Args:
        alignment: of `metatl.alignments`.
        adaptation: to the aligned rows, on features.
        weight: of a labelled row of the target, beside 1 of one of the source.
    """

    alignment: Alignment = AsItIs()
    adaptation: Adaptation = ClosedForm()
    weight: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a weight that is none."""
        if not self.weight > 0:
            raise MetatlError(f"AcrossDomains: weight is {self.weight}; give a number above 0")

    @property
    def streams(self) -> tuple[str, ...]:
        """As the alignment reads."""
        return self.alignment.reads

    @property
    def needs_labels(self) -> bool:
        """As the alignment does."""
        return self.alignment.needs_labels

    @property
    def batched(self) -> bool:
        """Never: rows of streams are as many as they are."""
        return False

    @property
    def saved(self) -> Adaptation:
        """The same around what its adaptation is saved as."""
        return AcrossDomains(self.alignment, self.adaptation.saved, self.weight)

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """Tasks of a benchmark have no streams."""
        raise MetatlError(f"AcrossDomains reads {STREAMS}")

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """What the alignment needs for further rows, and what its adaptation fitted."""
        rows, fitted = self.aligned(net, transfer, support)
        inner = head_net(rows.x.shape[1], net.outputs)
        return {"alignment": fitted, "adaptation": self.adaptation.fit(*inner, rows, key)}

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs] for rows of the target."""
        rows = self.alignment.target(fitted["alignment"], net.features(transfer.params, transfer.buffers, x))
        nothing = Batch(rows[:0], _none_of(support.y))
        inner = head_net(rows.shape[1], net.outputs)
        return self.adaptation.predict(*inner, fitted["adaptation"], nothing, rows)

    def aligned(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Batch, Any]:
        """The rows to learn from, and what the alignment needs for further ones."""
        rows, fitted = self.alignment.fit(self.domains(net, transfer, support))
        weight = None if rows.weight is None else rows.weight.to(rows.x.dtype)
        return rows._replace(weight=weight), fitted

    def told(self, support: Batch) -> str:
        """What the alignment has to say of streams of features."""
        x = next(iter(_streams(support)[0].values()))
        return self.alignment.told(self.domains(*head_net(x.shape[1], 1), support))

    def domains(self, net: Net, transfer: Transfer, support: Batch) -> Domains:
        """Streams as rows of two domains."""
        x, y = _streams(support)
        x = {name: net.features(transfer.params, transfer.buffers, rows) for name, rows in x.items()}
        labelled = Batch(x["labelled"], y["labelled"])
        if self.weight != 1 and len(labelled.x):
            labelled = labelled._replace(weight=torch.full((len(labelled.x),), self.weight))
        return Domains(Batch(x["source"], y["source"]), labelled, x["unlabelled"])


def _streams(support: Batch) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    if isinstance(support.x, Mapping):
        if not {"labelled", "source", "unlabelled"} <= {*cast(Mapping[str, Tensor], support.x)}:
            raise MetatlError(f"AcrossDomains reads {STREAMS}")
        return support.x, support.y
    return dict.fromkeys(("labelled", "source", "unlabelled"), support.x), dict.fromkeys(
        ("labelled", "source"), support.y
    )


def _none_of(y: Any) -> Any:
    """No targets of that type."""
    y = next(iter(cast(Mapping[str, Tensor], y).values())) if isinstance(y, Mapping) else y
    return y[:0]
