"""Adaptation by an estimator that is none of torch's: anything with scikit-learn's fit and predict."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.estimators import frozen, is_frozen_kind, pack, thawed, unpack
from metatl.adapt.estimators.classes import class_of, missing_extra
from metatl.adapt.estimators.forest import Array, constant
from metatl.adapt.estimators.outputs import columns, outputs, said
from metatl.adapt.prediction import predict_with
from metatl.adapt.support import at_the_door, check_some
from metatl.data.targets import Kind
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.threads import SMALL, few_threads
from metatl.types import Batch, Episode, MetatlError, Moments, Transfer

On = Literal["features", "inputs"]
"""What an estimator sees: the net's features, or the inputs themselves, one flat row each."""
_PAIR = ("classifier", "regressor")


@dataclass(frozen=True)
class Estimator(Adaptation):
    """Fits an estimator to every task's rows; no gradient, and one task after another.

    Outputs are log-probabilities (`predict_proba`, at least 1e-12; without it 0 for the class that `predict`
    names), of several labels at once the log-odds of each (one estimator a label), or predicted values. Where
    the estimator has a `random_state` that is None, it gets the key, so that the same task gives the same
    predictions.

    What was fitted are tensors where the estimator can be saved (`estimators.frozen`: nearest neighbours,
    scikit-learn's forests, boosted trees and neighbours), else the estimator itself.

    Args:
        estimator: an object with `fit(x, y)` and `predict(x)`, copied for every task; or the dotted path of a
            class of such objects, `sklearn.ensemble.RandomForestClassifier` say; or two such paths, for
            labels and for real targets: `{classifier: ..., regressor: ...}`.
        options: keyword arguments of that class.
        on: `features` of the net, or `inputs`.
        moments: which rows give batch norm its moments in features (see ClosedForm).
    """

    estimator: str | dict[str, str] | Any = "metatl.adapt.NearestNeighbours"
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    on: On = "features"
    moments: Moments = "frozen"

    def __post_init__(self) -> None:
        """Refuse what is no estimator, before it is needed."""
        pair = self._pair()
        if pair is not None and {*pair} != {*_PAIR}:
            raise MetatlError(f"Estimator: of two, name {' and '.join(_PAIR)}; these are {', '.join(pair)}")
        for one in [self.estimator] if pair is None else pair.values():
            if isinstance(one, str) and missing_extra(one):
                continue  # said where it is needed
            made = class_of(one) if isinstance(one, str) else one
            if not all(callable(getattr(made, name, None)) for name in ("fit", "predict")):
                raise MetatlError(f"Estimator: {one!r} has no fit and predict; name a class that has")
        if self.options and pair is None and not isinstance(self.estimator, str):
            raise MetatlError("Estimator: options go with the path of a class; this is an object already")

    @property
    def missing(self) -> str:
        """As the estimator's `missing_package` says, if it has one."""
        one = self.estimator
        made = class_of(one) if isinstance(one, str) and not missing_extra(one) else one
        asked: Any = getattr(made, "missing_package", None)
        return str(asked()) if callable(asked) else ""

    @property
    def batched(self) -> bool:
        """Never: an estimator sees numbers, not tensors of many tasks."""
        return False

    @property
    def saved(self) -> Estimator:
        """The same without the estimator's class, which predictions from tensors do not need."""
        return Estimator(on=self.on, moments=self.moments)

    def transductive(self, net: Net) -> bool:
        """Only through the features' moments."""
        return self.on == "features" and self.moments == "batch" and net.batch_moments

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """Features need an output layer that sees them; the options must be the class's own."""
        self._new(0, real)
        if self.on == "features" and net.head is None:
            raise MetatlError("Estimator on features needs a net with a linear output layer; name one (head)")

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """What predicts, as tensors or as itself; MetatlError in one line for what it says of the rows."""
        check_some(support)
        support = at_the_door(net, support)
        if not isinstance(support.y, Tensor):
            raise MetatlError("Estimator fits one target; give y as one tensor")
        several = support.y.dtype == torch.bool
        with torch.no_grad(), moments_from(Rows(frozen=self.moments == "frozen", weight=support.weight)):
            rows = self._rows(net, transfer, support.x)
        y, weight = support.y, support.weight
        kind: Kind = "labels" if several else "real" if y.is_floating_point() else "classes"
        made, given = self._new(key, kind == "real"), dict[str, Any]()
        if weight is not None:
            if "sample_weight" not in inspect.signature(made.fit).parameters:
                raise MetatlError(f"{type(made).__name__} takes no row weights; leave them out")
            rows, y, weight = (leaf[weight > 0] for leaf in (rows, y, weight))
            given = {"sample_weight": weight.cpu().numpy()}
        fitted = [_fitted(made, _numpy(rows), part, given, kind) for part in columns(kind, y, made)]
        if all(map(is_frozen_kind, fitted)):
            return pack(kind, [frozen(one) for one in fitted])
        return fitted[0] if kind == "classes" else tuple(fitted)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs]: log-probabilities, log-odds of labels, or real values."""
        episode = Episode(support, Batch(x))
        with torch.no_grad():
            if self.on == "inputs":
                rows = _numpy(self._rows(net, transfer, x))
            else:
                call = functools.partial(self._rows, net, transfer)
                rows = _numpy(predict_with(call, net.batch_moments, episode, self.moments))
        kind, made = _thawed(fitted, support.y)
        with few_threads(rows.size <= SMALL):
            values = outputs(kind, made, rows, net.outputs)
        dtype = next(iter(transfer.params.values())).dtype if transfer.params else torch.float32
        dtype = support.y.dtype if support.y.is_floating_point() else dtype
        return torch.as_tensor(values).to(support.y.device, dtype)

    def _rows(self, net: Net, transfer: Transfer, x: Any) -> Tensor:
        if self.on == "features":
            return net.features(transfer.params, transfer.buffers, x)
        if not isinstance(x, Tensor):
            raise MetatlError("Estimator on inputs takes one tensor of inputs; choose on: features")
        return x.flatten(1)

    def _pair(self) -> dict[str, str] | None:
        return cast(dict[str, str], self.estimator) if isinstance(self.estimator, dict) else None

    def _new(self, key: int, real: bool) -> Any:
        pair = self._pair()
        chosen: Any = self.estimator if pair is None else pair[_PAIR[real]]
        if isinstance(chosen, str):
            made = said(chosen, lambda: class_of(chosen)(**self.options))
        else:
            made = copy.deepcopy(chosen)
        known: dict[str, Any] = made.get_params() if callable(getattr(made, "get_params", None)) else {}
        unset = [n for n, v in known.items() if v is None and n.rpartition("__")[2] == "random_state"]
        seeds = dict.fromkeys(unset, key % 2**32)
        return made.set_params(**seeds) if seeds else made


def _fitted(made: Any, rows: Array, y: Array, given: dict[str, Any], kind: Kind) -> Any:
    """A copy of the estimator, fitted; one leaf for a label that is the same in every row."""
    if kind == "labels" and (y == y[:1]).all():
        return constant(int(y[0]), rows.shape[1])
    one = copy.deepcopy(made)
    with few_threads(rows.size <= SMALL):
        said(one, lambda: one.fit(rows, y, **given))
    return one


def _thawed(fitted: Any, y: Tensor) -> tuple[Kind, Sequence[Any]]:
    """What the targets are, and what predicts them."""
    if isinstance(fitted, dict):
        kind, parts = unpack(cast(dict[str, Tensor], fitted))
        if kind not in get_args(Kind) or not parts:
            raise MetatlError("a saved estimator is damaged (no such targets); get the model again")
        return cast(Kind, kind), [thawed(*part) for part in parts]
    if isinstance(fitted, tuple):
        return "real" if y.is_floating_point() else "labels", cast(tuple[Any, ...], fitted)
    return "classes", [fitted]


def _numpy(rows: Tensor) -> Array:
    return rows.detach().cpu().to(torch.promote_types(rows.dtype, torch.float32)).numpy()
