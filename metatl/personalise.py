"""A finished run in a few lines: load, adapt to (x, y), predict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metatl import store
from metatl.adapt import Descent, predict
from metatl.benchmark import run_of
from metatl.experiment import with_value
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.run import learn
from metatl.types import Batch, Episode, MetatlError, Transfer


@dataclass(frozen=True)
class Personaliser:
    """A learned transfer with its net and its way of adapting."""

    net: Net
    transfer: Transfer
    adaptation: Descent

    def adapt(self, x: Tensor, y: Sequence[Any] | Tensor) -> Personal:
        """Adapt to examples x [n, ...] with labels y [n] of any kind (or real targets [n, d]).

        A fresh output layer gets one row for every distinct label, in sorted order. Raises MetatlError for
        empty, mismatched or non-finite examples, or labels that a carried output layer has no row for.
        """
        if len(x) == 0 or len(x) != len(y):
            raise MetatlError(
                f"{len(x)} examples with {len(y)} labels; give as many labels as examples, at least 1"
            )
        x = torch.as_tensor(x)
        if not bool(torch.isfinite(x).all()):
            raise MetatlError("the examples hold NaN or infinity; clean them first")
        like = next(iter(self.transfer.params.values()))
        x = x.to(like)
        real = isinstance(y, Tensor) and y.is_floating_point()
        carried = self.net.rows(self.transfer.params)
        labels: list[Any] = [] if real else sorted({_plain(label) for label in y})
        if not real and not self.adaptation.head.fresh:
            if any(not isinstance(label, int) or not 0 <= label < carried for label in labels):
                raise MetatlError(f"this transfer carries its output layer: labels are 0 to {carried - 1}")
            labels = list(range(carried))
        if real:
            target = torch.as_tensor(y).to(like).reshape(len(y), -1)
            if target.shape[1] != carried:
                raise MetatlError(
                    f"targets have {target.shape[1]} values each; this transfer gives {carried}"
                )
        else:
            target = torch.tensor([labels.index(_plain(label)) for label in y], device=like.device)
        net = self.net.with_outputs(len(labels) if labels else carried)
        support = Batch(x, target)
        with torch.no_grad():
            params = self.adaptation(net, self.transfer, support)
        new = self.adaptation.fresh(net, self.transfer)
        guide = {n: torch.ones_like(params[n]) if n in new else g for n, g in self.transfer.guide.items()}
        fitted = replace(self.transfer, params=params, guide=guide)
        return Personal(net, fitted, self.adaptation, support, labels, self.transfer)


@dataclass(frozen=True)
class Personal:
    """A model adapted to somebody's examples; base: the transfer that it was adapted from."""

    net: Net
    transfer: Transfer
    adaptation: Descent
    support: Batch
    labels: list[Any]
    base: Transfer

    def outputs(self, x: Tensor) -> Tensor:
        """Logits (or regression outputs) for new examples x [n, ...]."""
        x = torch.as_tensor(x).to(self.support.x)
        nothing = Batch(x, self.support.y[:0])
        episode = Episode(self.support, nothing)
        with torch.no_grad():
            return predict(self.net, self.transfer.params, self.transfer, episode, self.adaptation.moments)

    def probabilities(self, x: Tensor) -> Tensor:
        """Class probabilities [n, labels] for new examples."""
        return self.outputs(x).softmax(-1)

    def predict(self, x: Tensor) -> list[Any]:
        """The most probable label of each new example."""
        return [self.labels[i] for i in self.outputs(x).argmax(-1).tolist()]

    def save(self, path: str | Path) -> None:
        """Write the adapted weights as safetensors."""
        store.save_transfer(Path(path), self.transfer)

    def save_delta(self, path: str | Path, precision: store.Precision = "exact") -> None:
        """Write what adaptation changed, bound to the base (see `store.save_delta`); `apply_delta` reads it.

        Batch norms that look at the support rows get those rows' moments as running ones, so that the file
        holds none of the examples. Raises MetatlError for labels that are no plain numbers or strings, and
        for batch norms without running moments.
        """
        labels = json.dumps(self.labels) if all(type(label) in _LABELS for label in self.labels) else ""
        if not labels:
            raise MetatlError("labels are stored as strings, integers, floats or booleans; use such labels")
        store.save_delta(Path(path), self.base, self._settled(), precision, {"labels": labels})

    def _settled(self) -> Transfer:
        """The transfer whose running moments are those that predictions take from the support rows."""
        if not _looks_at_support(self.net, self.adaptation):
            return self.transfer
        rows = Rows(first=len(self.support.x), sink={})
        with torch.no_grad(), moments_from(rows):
            self.net(self.transfer.params, self.transfer.buffers, self.support.x)
        try:
            buffers = self.net.updated_buffers(self.transfer.buffers, rows.sink or {}, 1.0)
        except KeyError as error:
            raise MetatlError(
                "a batch norm without running moments keeps looking at the examples; build it with them"
            ) from error
        return replace(self.transfer, buffers=buffers)


_LABELS = (str, int, float, bool)


def _looks_at_support(net: Net, adaptation: Descent) -> bool:
    return net.batch_moments and adaptation.moments == "support"


def _plain(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label


def load(folder: str | Path) -> Personaliser:
    """The transfer of a run directory, ready to adapt with the rates that were chosen on meta-val."""
    run = run_of(Path(folder))
    transfer, _ = learn(run)
    adaptation = chosen_adaptation(run.folder, run.experiment.adaptation)
    return Personaliser(run.net, transfer, adaptation)


def apply_delta(base: Personaliser | str | Path, path: str | Path) -> Personal:
    """The model that `Personal.save_delta` wrote, from its base (a run directory, or what `load` gives).

    Its support set is empty: it predicts, from the stored moments. For bare transfers see
    `store.apply_delta`. Raises MetatlError in one line for another base and for a damaged file.
    """
    if not isinstance(base, Personaliser):
        base = load(base)
    transfer, notes = store.load_delta(Path(path), base.transfer)
    if "labels" not in notes:
        raise MetatlError(f"{path} holds a transfer without labels; read it with metatl.store.apply_delta")
    net, adaptation = base.net, base.adaptation
    if _looks_at_support(net, adaptation):
        adaptation = replace(adaptation, moments="frozen")
    like = next(iter(transfer.params.values()))
    nothing = Batch(like.new_zeros(0), torch.zeros(0, dtype=torch.int64, device=like.device))
    net = net.with_outputs(net.rows(transfer.params))
    return Personal(net, transfer, adaptation, nothing, json.loads(notes["labels"]), base.transfer)


def chosen_adaptation(folder: Path, adaptation: Descent) -> Descent:
    """The adaptation with the values that the run's report selected, if it has one."""
    if not (folder / "report.json").is_file():
        return adaptation
    for path, value in store.load_report(folder).facts.get("selected", {}).items():
        adaptation = with_value(adaptation, path, value)
    return adaptation
