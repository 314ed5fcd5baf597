"""A model adapted to somebody's examples."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from metatl import tree
from metatl.adapt import Adaptation, alike, check_outputs, too_large
from metatl.data.pictures import as_rows
from metatl.data.source import Source
from metatl.inputs import inputs_for, rows_given, within_vocabulary
from metatl.lab import store
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Batch, MetatlError, Transfer


@dataclass(frozen=True)
class Personal:
    """A model adapted to somebody's examples.

    labels: the label of every output; empty for real targets, and where several labels hold at once. base:
    the transfer that it was adapted from; fitted: what the adaptation found in the examples; shape: of one
    example; source: as in `Personaliser`.
    """

    net: Net
    transfer: Transfer
    adaptation: Adaptation
    support: Batch
    labels: list[Any]
    base: Transfer
    fitted: Any
    shape: tuple[int, ...] | None = None
    source: Source | None = None

    def outputs(self, x: Any) -> Tensor:
        """Logits [n, labels] (of pixels [n, labels, h, w]), or real values [n, d], for examples x [n, ...].

        Raises MetatlError as `adapt`, and where an output is not finite.
        """
        given = partial(self.adaptation.given, self.support)
        x = cast(Any, x) if isinstance(x, Mapping) else as_rows(x, self.source, self.shape)
        x = inputs_for(self.net, self.transfer, x, self.shape, given)
        with torch.no_grad(), within_vocabulary(x):
            found = self.adaptation.predict(self.net, self.transfer, self.fitted, self.support, x)
        check_outputs(found)
        if bool(alike(found)) and any(
            bool(too_large(tree.apply(_one, rows))) for rows in (self.support.x, x)
        ):
            raise MetatlError(
                "all examples get one prediction, as values are too large to be squared; scale the examples"
            )
        return found

    def probabilities(self, x: Any) -> Tensor:
        """Class probabilities [n, labels] for new examples; MetatlError for a regression.

        Of several labels at once the probability of each.
        """
        if self.several:
            return self.outputs(x).sigmoid()
        if not self.labels:
            raise MetatlError("a regression has no probabilities; ask for outputs or predict")
        return self.outputs(x).softmax(1)

    def predict(self, x: Any) -> list[Any]:
        """The most probable label of each new example, or of its pixels (lists of lists).

        Of a regression its value (several: a list); of several labels a list of booleans: whether each is
        more probable than not.
        """
        if hasattr(x, "__len__") and not rows_given(x):
            return []
        outputs = self.outputs(x)
        if self.several:
            return (outputs > 0).tolist()
        if not self.labels:
            return (outputs[:, 0] if outputs.shape[1] == 1 else outputs).tolist()
        return _called(self.labels, outputs.argmax(1).tolist())

    @property
    def several(self) -> bool:
        """Whether several labels hold at once, each yes or no."""
        return isinstance(self.support.y, Tensor) and self.support.y.dtype == torch.bool

    def save(self, path: str | Path) -> None:
        """Write the adapted weights as safetensors; MetatlError where no weight was moved."""
        self._check_moved()
        store.save_transfer(Path(path), self.transfer)

    def save_delta(self, path: str | Path, precision: store.Precision = "exact") -> None:
        """Write what adaptation changed, bound to the base (see `store.save_delta`); `apply_delta` reads it.

        Batch norms that look at the support rows get those rows' moments as running ones, so that the file
        holds none of the examples. Raises MetatlError for labels that are no plain numbers or strings, and
        for batch norms without running moments, and where no weight was moved.
        """
        self._check_moved()
        labels = json.dumps(self.labels) if all(type(label) in _LABELS for label in self.labels) else ""
        if not labels:
            raise MetatlError("labels are stored as strings, integers, floats or booleans; use such labels")
        notes = {"labels": labels} | ({"targets": SEVERAL} if self.several else {})
        store.save_delta(Path(path), self.base, self._settled(), precision, notes)

    def _check_moved(self) -> None:
        """Only what moved weights can be written as weights."""
        if not self.adaptation.guided_by_transfer:
            way = type(self.adaptation).__name__
            raise MetatlError(
                f"{way} moves no weights, so there are none to write; keep the run and the examples, and "
                "adapt again"
            )

    def _settled(self) -> Transfer:
        """The transfer whose running moments are those that predictions take from the support rows."""
        if not looks_at_support(self.net, self.adaptation):
            return self.transfer
        rows = Rows(first=tree.rows(self.support.x), sink={})
        with torch.no_grad(), moments_from(rows):
            self.net(self.transfer.params, self.transfer.buffers, self.support.x)
        sink = rows.sink or {}
        if not all(isinstance(name, str) for name in sink):  # moments that no buffer holds
            raise MetatlError(
                "a batch norm without running moments keeps looking at the examples; build it with them"
            )
        return replace(self.transfer, buffers=self.net.updated_buffers(self.transfer.buffers, sink, 1.0))


_LABELS = (str, int, float, bool)
SEVERAL = "several labels"
"""What a delta says of its targets where several labels hold at once."""


def _one(rows: Tensor) -> Tensor:
    return rows[None]


def _called(labels: list[Any], places: list[Any]) -> list[Any]:
    """The labels at nested places."""
    return [_called(labels, one) if isinstance(one, list) else labels[one] for one in places]


def looks_at_support(net: Net, adaptation: Adaptation) -> bool:
    """Whether predictions take the moments of batch norms from the support rows."""
    return net.batch_moments and adaptation.moments == "support"
