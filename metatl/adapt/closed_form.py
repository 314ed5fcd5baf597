"""Adaptation in closed form: the body stays, the output layer is solved for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.prediction import predict_with
from metatl.adapt.solvers import NearestCentroid, Solver
from metatl.adapt.solvers.solver import NEEDS_LABELS
from metatl.adapt.support import at_the_door
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Batch, Episode, MetatlError, Moments, Transfer


@dataclass(frozen=True)
class ClosedForm(Adaptation):
    """A solver on the carried net's features (what its output layer sees); no weight moves.

    `solver.fit(features, y, outputs, weight)` and `solver.predict(fitted, features)` do the same on features
    that were computed once. Row weights of the support are respected.

    Args:
        solver: of `metatl.adapt.solvers`.
        moments: which rows give batch norm its moments: `frozen` uses the running ones, as for a pre-trained
            net; `support` the support rows; `batch` all rows of a pass, which is transductive.
    """

    solver: Solver = NearestCentroid()
    moments: Moments = "frozen"

    def __post_init__(self) -> None:
        """Refuse moments that mean nothing."""
        if self.moments not in get_args(Moments):
            raise MetatlError(
                f"adaptation: moments is one of {', '.join(get_args(Moments))}; it is {self.moments!r}"
            )

    @property
    def batched(self) -> bool:
        """As the solver is."""
        return self.solver.batched

    @property
    def order_free(self) -> bool:
        """As the solver is."""
        return self.solver.order_free

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """The net needs features, and the solver targets of its kind."""
        if net.head is None:
            raise MetatlError("ClosedForm needs a net with a linear output layer; name one (head)")
        if real and not self.solver.real:
            raise MetatlError(f"{type(self.solver).__name__} {NEEDS_LABELS}")

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """What the solver finds; tuples of tensors. Differentiable in the weights where the solver is."""
        support = at_the_door(net, support)
        if not isinstance(support.y, Tensor):
            raise MetatlError("ClosedForm fits one target; give y as one tensor")
        with moments_from(Rows(frozen=self.moments == "frozen", weight=support.weight)):
            features = net.features(transfer.params, transfer.buffers, support.x)
        return self.solver.fit(features, support.y, net.outputs, support.weight)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs] for the rows x."""
        features = predict_with(
            lambda rows: net.features(transfer.params, transfer.buffers, rows),
            net.batch_moments,
            Episode(support, Batch(x)),
            self.moments,
        )
        return self.solver.predict(fitted, features)
