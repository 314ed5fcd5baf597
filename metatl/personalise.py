"""A finished run in a few lines: load, adapt to (x, y), predict."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metatl import store, tree
from metatl.adapt import Descent, in_rounds, predict
from metatl.benchmark import run_of
from metatl.data.checked import as_targets
from metatl.experiment import with_value
from metatl.inputs import carried_targets, inputs_for, within_vocabulary
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.run import learn
from metatl.types import Batch, Episode, MetatlError, Transfer


@dataclass(frozen=True)
class Personaliser:
    """A learned transfer with its net and its way of adapting.

    shape: of one example, where it is known; pictures are turned to it, and others refused.
    """

    net: Net
    transfer: Transfer
    adaptation: Descent
    shape: tuple[int, ...] | None = None

    def adapt(self, x: Any, y: Sequence[Any] | Tensor) -> Personal:
        """Adapt to examples x [n, ...] with targets y [n]: labels of one kind, or real values ([n, d] too).

        What x and y mean is said in `metatl.data.checked`: bytes are pixels, integers stay integers, floats
        in y make a regression. A fresh output layer gets one row for every distinct label, in sorted order,
        or for every column of real targets. Raises MetatlError for empty, mismatched or non-finite examples,
        for targets that mean nothing, for labels that a carried output layer has no row for, and for
        examples that the net does not take.
        """
        like = next(iter(self.transfer.params.values()))
        target, labels = as_targets(y, dtype=like.dtype)
        rows = len(x) if hasattr(x, "__len__") else 0
        if rows == 0 or rows != len(target):
            raise MetatlError(
                f"{rows} examples with {len(target)} labels; give as many labels as examples, at least 1"
            )
        x = inputs_for(self.net, self.transfer, x, self.shape)
        carried = self.net.rows(self.transfer.params)
        if not self.adaptation.head.fresh:
            target, labels = carried_targets(target, labels, carried)
        net = self.net.with_outputs(target.shape[1] if labels is None else len(labels))
        support = in_rounds(Batch(x, target.to(like.device)), self.adaptation.batch_size)
        x = support.x
        with torch.no_grad(), within_vocabulary(x):
            params = self.adaptation(net, self.transfer, support)
        new = self.adaptation.fresh(net, self.transfer)
        guide = {n: torch.ones_like(params[n]) if n in new else g for n, g in self.transfer.guide.items()}
        fitted = replace(self.transfer, params=params, guide=guide)
        return Personal(
            net, fitted, self.adaptation, support, labels or [], self.transfer, tuple(x.shape[1:])
        )


@dataclass(frozen=True)
class Personal:
    """A model adapted to somebody's examples.

    labels: the label of every output; empty for a regression. base: the transfer that it was adapted from;
    shape: of one example.
    """

    net: Net
    transfer: Transfer
    adaptation: Descent
    support: Batch
    labels: list[Any]
    base: Transfer
    shape: tuple[int, ...] | None = None

    def outputs(self, x: Any) -> Tensor:
        """Logits [n, labels], or real values [n, d], for new examples x [n, ...]; MetatlError as `adapt`."""
        x = inputs_for(self.net, self.transfer, x, self.shape)
        episode = Episode(self.support, Batch(x, self.support.y[:0]))
        with torch.no_grad(), within_vocabulary(x):
            return predict(self.net, self.transfer.params, self.transfer, episode, self.adaptation.moments)

    def probabilities(self, x: Any) -> Tensor:
        """Class probabilities [n, labels] for new examples; MetatlError for a regression."""
        if not self.labels:
            raise MetatlError("a regression has no probabilities; ask for outputs or predict")
        return self.outputs(x).softmax(-1)

    def predict(self, x: Any) -> list[Any]:
        """The most probable label of each new example; of a regression its value (several: a list)."""
        outputs = self.outputs(x)
        if not self.labels:
            return (outputs[:, 0] if outputs.shape[1] == 1 else outputs).tolist()
        return [self.labels[i] for i in outputs.argmax(-1).tolist()]

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


def _looks_at_support(net: Net, adaptation: Descent) -> bool:
    return net.batch_moments and adaptation.moments == "support"


def load(folder: str | Path) -> Personaliser:
    """The transfer of a run directory, ready to adapt with the rates that were chosen on meta-val.

    Raises MetatlError where `select` is to choose and nothing was evaluated yet, and where a class or a
    weights file that the run was learned with has changed.
    """
    run = run_of(Path(folder))
    if run.experiment.select and not (run.folder / "report.json").is_file():
        raise MetatlError(
            f"{folder} has no report.json, so `select` has chosen nothing; 'metatl run {folder}/config.yaml' "
            "evaluates it"
        )
    transfer, _ = learn(run)
    adaptation = chosen_adaptation(run.folder, run.experiment.adaptation)
    return Personaliser(run.net, transfer, adaptation, run.data.shape)


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
    return Personal(
        net, transfer, adaptation, nothing, json.loads(notes["labels"]), base.transfer, base.shape
    )


def chosen_adaptation(folder: Path, adaptation: Descent) -> Descent:
    """The adaptation with the values that the run's report selected, if it has one."""
    if not (folder / "report.json").is_file():
        return adaptation
    for path, value in store.load_report(folder).facts.get("selected", {}).items():
        adaptation = with_value(adaptation, path, value)
    return adaptation
