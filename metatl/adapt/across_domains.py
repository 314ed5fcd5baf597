"""Adaptation from a source's labelled rows to a target with few labelled rows, or none."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt.adaptation import Adaptation
from metatl.adapt.closed_form import ClosedForm
from metatl.adapt.head_net import head_net
from metatl.adapt.named_streams import OfStreams, domains, none_of
from metatl.alignments import Alignment, AsItIs, TwoDomains
from metatl.net import Net
from metatl.norm_calls import transforming
from metatl.types import Batch, MetatlError, Transfer


@dataclass(frozen=True)
class AcrossDomains(OfStreams):
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
    def unlike(self) -> bool:
        """As the alignment does."""
        return self.alignment.unlike

    @property
    def needs_labels(self) -> bool:
        """As the alignment does."""
        return self.alignment.needs_labels

    @property
    def saved(self) -> Adaptation:
        """The same around what its adaptation is saved as."""
        return AcrossDomains(self.alignment, self.adaptation.saved, self.weight)

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """What the alignment needs for further rows, and what its adaptation fitted."""
        rows, fitted = self.aligned(net, transfer, support)
        inner = head_net(rows.x.shape[1], net.outputs)
        return {"alignment": fitted, "adaptation": self.adaptation.fit(*inner, rows, key)}

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs] for rows of the target."""
        rows = self.alignment.target(fitted["alignment"], net.features(transfer.params, transfer.buffers, x))
        nothing = Batch(rows[:0], none_of(support.y))
        inner = head_net(rows.shape[1], net.outputs)
        return self.adaptation.predict(*inner, fitted["adaptation"], nothing, rows)

    def aligned(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Batch, Any]:
        """The rows to learn from, and what the alignment needs for further ones."""
        rows, fitted = _fitted(self.alignment, self.domains(net, transfer, support))
        weight = None if rows.weight is None else rows.weight.to(rows.x.dtype)
        return rows._replace(weight=weight), fitted

    def of_source(
        self, net: Net, transfer: Transfer, support: Batch
    ) -> tuple[Adaptation, Batch, Callable[[Batch], Batch]]:
        """Its adaptation, and the aligned rows: the alignment, which reads no label, is that of all rows."""
        return self.adaptation, self.aligned(net, transfer, support)[0], lambda some: some

    def told(self, support: Batch) -> str:
        """What the alignment has to say of streams of features."""
        width = tree.first(support.x).shape[1]
        return self.alignment.told(self.domains(*head_net(width, 1), support))

    def domains(self, net: Net, transfer: Transfer, support: Batch) -> TwoDomains:
        """Streams as rows of two domains, the target's labelled ones by their weight."""
        found = domains(net, transfer, support, self.unlike)
        labelled = found.labelled
        if self.weight == 1 or not len(labelled.x):
            return found
        weight = torch.full((len(labelled.x),), self.weight)
        return found._replace(labelled=labelled._replace(weight=weight))


_HELD = 8
"""Alignments that stay in memory: the values that are tried for what follows share one, fold by fold."""
_held = list[tuple[Alignment, list[Tensor], Any, tuple[Batch, Any]]]()


def _fitted(alignment: Alignment, domains: TwoDomains) -> tuple[Batch, Any]:
    """What the alignment makes of the domains, made once of the same ones; under a transform each time."""
    leaves, nesting = tree.flatten(domains)
    if transforming() or any(leaf.requires_grad for leaf in leaves):
        return alignment.fit(domains)
    for known, of, kind, made in _held:
        if known == alignment and kind == nesting and all(map(_same, of, leaves)):
            return made
    made = alignment.fit(domains)
    _held[:] = [(alignment, [leaf.clone() for leaf in leaves], nesting, made), *_held[: _HELD - 1]]
    return made


def _same(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and torch.equal(one, other)
