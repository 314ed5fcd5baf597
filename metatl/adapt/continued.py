"""Adaptation by an estimator that was fitted to a source and goes on with the target's rows."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.estimator import Estimator
from metatl.adapt.estimators import frozen, pack
from metatl.adapt.estimators.classes import class_of
from metatl.adapt.estimators.source_fits import fitted_source
from metatl.adapt.named_streams import OfStreams, domains, none_of
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer


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
        kind = "regressor" if real else "classifier"
        x, y = _numbers(torch.cat([source.x, labelled.x[new]]), torch.cat([source.y, labelled.y[new]]))
        made = class_of(self.then)(
            source=fitted_source(self.first[kind], self.options, x, y), **self.then_options
        )
        if "random_state" in {one.name for one in fields(made)}:
            made.random_state = key
        made.fit(*_numbers(labelled.x, labelled.y))
        return pack("real" if real else "classes", [frozen(made.fitted_)])

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs] for rows of the target: log-probabilities, or real values."""
        return Estimator().predict(net, transfer, fitted, Batch(x[:0], none_of(support.y)), x)


def _numbers(x: Tensor, y: Tensor) -> tuple[Any, Any]:
    return x.numpy(), y.flatten().numpy()
