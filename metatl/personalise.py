"""A finished run in a few lines: load, adapt to (x, y), predict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metatl import importing, tree
from metatl.adapt import Adaptation, check_finite, in_rounds
from metatl.data.checked import as_targets
from metatl.data.pictures import as_rows
from metatl.data.source import Source
from metatl.inputs import carried_targets, inputs_for, rows_given, within_vocabulary
from metatl.lab import store
from metatl.lab.benchmark import run_of
from metatl.lab.describe import describe
from metatl.lab.experiment import Experiment, candidates, with_value
from metatl.lab.run import learn, own_report
from metatl.net import Net
from metatl.personal import SEVERAL, Personal, looks_at_support
from metatl.types import Batch, MetatlError, Transfer


@dataclass(frozen=True)
class Personaliser:
    """A learned transfer with its net and its way of adapting.

    shape: of one example, where it is known; source: of the run's data, whose preparation pictures of another
    size, bytes and images of PIL go through (see `data.pictures`). Other shapes are refused.
    """

    net: Net
    transfer: Transfer
    adaptation: Adaptation
    shape: tuple[int, ...] | None = None
    source: Source | None = None

    def adapt(self, x: Any, y: Sequence[Any] | Tensor) -> Personal:
        """Adapt to examples x [n, ...] with targets y [n]: labels of one kind, or real values ([n, d] too).

        Or rows of booleans [n, k], several labels at once; or a label a pixel [n, h, w], for a net whose
        outputs are [n, labels, h, w]. x may be a mapping of such arrays, for a net that takes them by name.
        What x and y mean is said in `metatl.data.checked`: bytes are pixels,
        integers stay integers, floats in y make a regression. A fresh output layer gets one row for every
        distinct label, in sorted order, or for every column of real targets or several labels. Raises
        MetatlError for empty, mismatched or non-finite examples, for targets that mean nothing, for labels
        that a carried output layer has no row for, for examples that the net does not take, and where
        adapting to them diverges.
        """
        like, way = next(iter(self.transfer.params.values())), self.adaptation
        target, labels = as_targets(y, dtype=like.dtype)
        rows = rows_given(x)
        if rows == 0 or rows != len(target):
            raise MetatlError(
                f"{rows} examples with {len(target)} labels; give as many labels as examples, at least 1"
            )
        x = self._inputs(x, target)
        carried = self.net.rows(self.transfer.params)
        if way.carries:
            target, labels = carried_targets(target, labels, carried)
        net = self.net.with_outputs(target.shape[1] if labels is None else len(labels))
        way.check(net, self.transfer, labels is None)
        support = in_rounds(Batch(x, target.to(like.device)), way.batch_size)
        x = support.x
        with torch.no_grad(), within_vocabulary(x):
            fitted = way.fit(net, self.transfer, support)
        adapted = way.adapted(net, self.transfer, fitted)
        check_finite(adapted, "adapted to these examples: ")
        shape = tuple(x.shape[1:]) if isinstance(x, Tensor) else None
        return Personal(net, adapted, way, support, labels or [], self.transfer, fitted, shape, self.source)

    def _inputs(self, x: Any, target: Tensor) -> Any:
        first = target[:2].to(next(iter(self.transfer.params.values())).device)

        def given(rows: Any) -> Any:
            own = first.expand(tree.rows(rows), *first.shape[1:])
            return self.adaptation.given(Batch(rows, own), rows)

        x = x if isinstance(x, Mapping) else as_rows(x, self.source, self.shape)
        return inputs_for(self.net, self.transfer, x, self.shape, given)


def load(folder: str | Path, trust: bool = False) -> Personaliser:
    """The transfer of a run directory, ready to adapt with the rates that were chosen on meta-val.

    trust: import the modules outside metatl that the directory names; those that you have imported already
    count as named by you.

    Raises MetatlError where `select` is to choose and nothing was evaluated yet, and where a class or a
    weights file that the run was learned with has changed.
    """
    with importing.received(trust):
        return _loaded(Path(folder))


def _loaded(folder: Path) -> Personaliser:
    run = run_of(folder)
    if run.experiment.select and not (run.folder / "report.json").is_file():
        raise MetatlError(
            f"{folder} has no report.json, so `select` has chosen nothing; 'metatl run {folder}/config.yaml' "
            "evaluates it"
        )
    transfer, _ = learn(run)
    adaptation = chosen_adaptation(run.folder, run.experiment)
    return Personaliser(run.net, transfer, adaptation, run.data.shape, run.experiment.data)


def apply_delta(base: Personaliser | str | Path, path: str | Path, trust: bool = False) -> Personal:
    """The model that `Personal.save_delta` wrote, from its base (a run directory, or what `load` gives).

    Its support set is empty: it predicts, from the stored moments. For bare transfers see
    `store.apply_delta`; trust is that of `load`. Raises MetatlError in one line for another base and for a
    damaged file.
    """
    if not isinstance(base, Personaliser):
        base = load(base, trust)
    transfer, notes = store.load_delta(Path(path), base.transfer)
    if "labels" not in notes:
        raise MetatlError(f"{path} holds a transfer without labels; read it with metatl.apply_delta")
    net, adaptation = base.net, base.adaptation
    if not adaptation.guided_by_transfer:
        raise MetatlError(
            f"{path} holds moved weights, and the base adapts by {type(adaptation).__name__}, which moves "
            "none; give a base that adapts by Descent"
        )
    if looks_at_support(net, adaptation):
        adaptation = with_value(adaptation, "moments", "frozen")
    like = next(iter(transfer.params.values()))
    kind = torch.bool if notes.get("targets") == SEVERAL else torch.int64
    nothing = Batch(like.new_zeros(0), torch.zeros(0, dtype=kind, device=like.device))
    net = net.with_outputs(net.rows(transfer.params))
    labels, params = json.loads(notes["labels"]), transfer.params
    return Personal(
        net, transfer, adaptation, nothing, labels, base.transfer, params, base.shape, base.source
    )


def chosen_adaptation(folder: Path, experiment: Experiment) -> Adaptation:
    """The adaptation with the values that the run's report selected, if it has one."""
    if not (folder / "report.json").is_file():
        return experiment.adaptation
    selected = own_report(folder).facts.get("selected", {})
    for values, adaptation in candidates(experiment):
        if describe(values) == selected:
            return adaptation
    adaptation = experiment.adaptation
    for path, value in selected.items():  # of a run whose config has changed since
        adaptation = with_value(adaptation, path, value)
    return adaptation
