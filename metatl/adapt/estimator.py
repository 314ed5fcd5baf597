"""Adaptation by an estimator that is none of torch's: anything with scikit-learn's fit and predict."""

from __future__ import annotations

import copy
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.prediction import predict_with
from metatl.adapt.support import at_the_door
from metatl.importing import found
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Batch, Episode, MetatlError, Moments, Transfer

On = Literal["features", "inputs"]
"""What an estimator sees: the net's features, or the inputs themselves, one flat row each."""
_FLOOR = 1e-12  # of a probability, so that its logarithm is a number


@dataclass(frozen=True)
class Estimator(Adaptation):
    """Fits an estimator to every task's rows; no gradient, and one task after another.

    Outputs are log-probabilities (`predict_proba`, at least 1e-12; without it 0 for the class that `predict`
    names) or predicted values. Where the estimator has a `random_state` that is None, it gets the key, so
    that the same task gives the same predictions.

    Args:
        estimator: an object with `fit(x, y)` and `predict(x)`, copied for every task; or the dotted path of a
            class of such objects, `sklearn.ensemble.RandomForestClassifier` say.
        options: keyword arguments of that class.
        on: `features` of the net, or `inputs`.
        moments: which rows give batch norm its moments in features (see ClosedForm).
    """

    estimator: str | Any = "metatl.adapt.NearestNeighbours"
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    on: On = "features"
    moments: Moments = "frozen"

    def __post_init__(self) -> None:
        """Refuse what is no estimator, before it is needed."""
        if self.on not in get_args(On) or self.moments not in get_args(Moments):
            raise MetatlError(
                f"Estimator: on is one of {', '.join(get_args(On))}, moments one of "
                f"{', '.join(get_args(Moments))}; they are {self.on!r} and {self.moments!r}"
            )
        made = _class_of(self.estimator) if isinstance(self.estimator, str) else self.estimator
        if not all(callable(getattr(made, name, None)) for name in ("fit", "predict")):
            raise MetatlError(f"Estimator: {self.estimator!r} has no fit and predict; name a class that has")
        if self.options and not isinstance(self.estimator, str):
            raise MetatlError("Estimator: options go with the path of a class; this is an object already")

    @property
    def batched(self) -> bool:
        """Never: an estimator sees numbers, not tensors of many tasks."""
        return False

    def transductive(self, net: Net) -> bool:
        """Only through the features' moments."""
        return self.on == "features" and self.moments == "batch" and net.batch_moments

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """Features need an output layer that sees them; the options must be the class's own."""
        self._new(0)
        if self.on == "features" and net.head is None:
            raise MetatlError("Estimator on features needs a net with a linear output layer; name one (head)")

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """The fitted estimator; raises MetatlError in one line for what it says against the rows."""
        support = at_the_door(net, support)
        if not isinstance(support.y, Tensor) or support.y.dtype == torch.bool:
            raise MetatlError("Estimator fits one target; give y as one tensor of labels or real values")
        with torch.no_grad(), moments_from(Rows(frozen=self.moments == "frozen", weight=support.weight)):
            rows = self._rows(net, transfer, support.x)
        y, weight, made = support.y, support.weight, self._new(key)
        given: dict[str, Any] = {}
        if weight is not None:
            if "sample_weight" not in inspect.signature(made.fit).parameters:
                raise MetatlError(f"{type(made).__name__} takes no row weights; leave them out")
            rows, y, weight = (leaf[weight > 0] for leaf in (rows, y, weight))
            given = {"sample_weight": weight.cpu().numpy()}
        y = y[:, 0] if y.dim() == 2 and y.shape[1] == 1 else y  # a column of one is a warning there
        _said(made, lambda: made.fit(_numpy(rows), y.cpu().numpy(), **given))
        return made

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs]: log-probabilities, or real values."""
        episode = Episode(support, Batch(x))
        with torch.no_grad():
            if self.on == "inputs":
                rows = _numpy(self._rows(net, transfer, x))
            else:
                call = functools.partial(self._rows, net, transfer)
                rows = _numpy(predict_with(call, net.batch_moments, episode, self.moments))
        if support.y.is_floating_point():
            values = np.asarray(_said(fitted, lambda: fitted.predict(rows)), np.float64)
            return torch.as_tensor(values.reshape(len(rows), -1)).to(support.y.device, support.y.dtype)
        shares = _shares(fitted, rows, net.outputs)
        kind = next(iter(transfer.params.values())).dtype if transfer.params else torch.float32
        return torch.as_tensor(np.log(np.maximum(shares, _FLOOR))).to(support.y.device, kind)

    def _rows(self, net: Net, transfer: Transfer, x: Any) -> Tensor:
        if self.on == "features":
            return net.features(transfer.params, transfer.buffers, x)
        if not isinstance(x, Tensor):
            raise MetatlError("Estimator on inputs takes one tensor of inputs; choose on: features")
        return x.flatten(1)

    def _new(self, key: int) -> Any:
        if isinstance(self.estimator, str):
            made = _said(self.estimator, lambda: _class_of(self.estimator)(**self.options))
        else:
            made = copy.deepcopy(self.estimator)
        known: dict[str, Any] = made.get_params() if callable(getattr(made, "get_params", None)) else {}
        unset = [n for n, v in known.items() if v is None and n.rpartition("__")[2] == "random_state"]
        seeds = dict.fromkeys(unset, key % 2**32)
        return made.set_params(**seeds) if seeds else made


def _class_of(path: str) -> type:
    """The class of a dotted path; nothing that is no class is ever called."""
    try:
        made = found(path if "." in path else f"metatl.adapt.{path}")
    except (ImportError, AttributeError, ValueError) as error:
        raise MetatlError(
            f"Estimator: {path!r} cannot be imported ({error}); install it, or name another"
        ) from error
    if not inspect.isclass(made):
        raise MetatlError(f"Estimator: {path!r} is no class; name one with fit and predict")
    return made


def _shares(fitted: Any, rows: Any, outputs: int) -> Any:
    """Probabilities [n, outputs]; 0 for a class that was not fitted."""
    shares = np.zeros((len(rows), outputs))
    if callable(getattr(fitted, "predict_proba", None)):
        known = getattr(fitted, "classes_", slice(None))
        shares[:, known] = _said(fitted, lambda: fitted.predict_proba(rows))
    else:
        shares[np.arange(len(rows)), _said(fitted, lambda: fitted.predict(rows))] = 1.0
    return shares


def _numpy(rows: Tensor) -> Any:
    return rows.detach().cpu().to(torch.promote_types(rows.dtype, torch.float32)).numpy()


def _said(estimator: Any, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (ValueError, TypeError) as error:
        name = estimator if isinstance(estimator, str) else type(estimator).__name__
        raise MetatlError(f"{name}: {' '.join(str(error).split())[:300]}") from error
