"""Adaptation by an estimator that was fitted to a source and goes on with the target's rows."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import copy
import functools
import hashlib
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.estimator import Estimator
from metatl.adapt.estimators import frozen, pack
from metatl.adapt.estimators.classes import class_of
from metatl.adapt.named_streams import OfStreams, domains, none_of
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer

_HELD = 8
"""Estimators of sources that stay in memory: folds and draws of a table share one."""


@dataclass(frozen=True)
class Continued(OfStreams):
    """Fits an estimator to the source's rows, then another one, made of it, to the target's labelled rows.

    Labelled rows of classes that the source lacks join the source. The support holds streams, see
    AcrossDomains.

    Args:
        first: dotted paths of the source's estimators, `{classifier: ..., regressor: ...}`.
        options: keyword arguments of either.
        then: dotted path of what is made of the fitted one, as `source`: TreeTransfer, ContinuedBoosting.
        then_options: further keyword arguments of that.
    """

    first: dict[str, str] = field(default_factory=dict[str, str])
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    then: str = "metatl.adapt.TreeTransfer"
    then_options: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def saved(self) -> Adaptation:
        """What predicts from tensors, whatever fitted them."""
        return Estimator()

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """What was fitted, as tensors."""
        source, labelled, *_ = domains(net, transfer, support)
        if source.y.dtype == torch.bool or (source.y.dim() > 1 and source.y.shape[1] > 1):
            raise MetatlError(f"{self.then} fits one target of each row")
        real = source.y.is_floating_point()
        new = torch.zeros(0, dtype=torch.int64)
        if not real:
            new = torch.nonzero(~torch.isin(labelled.y, source.y)).flatten()
        x, y = _numbers(torch.cat([source.x, labelled.x[new]]), torch.cat([source.y, labelled.y[new]]))
        made = class_of(self.then)(source=_first(self, real, x, y), **self.then_options)
        if "random_state" in {one.name for one in fields(made)}:
            made.random_state = key
        made.fit(*_numbers(labelled.x, labelled.y))
        return pack("real" if real else "classes", [frozen(made.fitted_)])

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs] for rows of the target: log-probabilities, or real values."""
        return Estimator().predict(net, transfer, fitted, Batch(x[:0], none_of(support.y)), x)


def _numbers(x: Tensor, y: Tensor) -> tuple[Any, Any]:
    return x.numpy(), y.flatten().numpy()


def _first(way: Continued, real: bool, x: Any, y: Any) -> Any:
    """A copy of the estimator of these source rows, fitted once."""
    said = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    path = way.first["regressor" if real else "classifier"]
    key = (path, repr(sorted(way.options.items())), said, x.shape[1])
    return copy.deepcopy(_fitted(key, _Rows(x, y, way.options)))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Rows whose identity is that of the key beside them."""

    x: Any
    y: Any
    options: dict[str, Any]

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Rows)


@functools.lru_cache(maxsize=_HELD)
def _fitted(key: tuple[Any, ...], rows: _Rows) -> Any:
    made = class_of(key[0])(**rows.options)
    if "random_state" in made.get_params() and made.get_params()["random_state"] is None:
        made.set_params(random_state=0)
    return made.fit(np.asarray(rows.x, np.float32), rows.y)
