"""Adaptation in closed form: the body stays, the output layer is solved for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.carried import prior_in
from metatl.adapt.prediction import predict_with
from metatl.adapt.solvers import NearestCentroid, Solver
from metatl.adapt.solvers.solver import NEEDS_LABELS
from metatl.adapt.support import at_the_door
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.objectives.predictive import Predictive
from metatl.types import Batch, Episode, MetatlError, Moments, Params, Transfer


@dataclass(frozen=True)
class ClosedForm(Adaptation):
    """A solver on the carried net's features (what its output layer sees); no weight moves.

    `solver.fit(features, y, outputs, weight)` and `solver.predict(fitted, features)` do the same on features
    that were computed once. Row weights of the support are respected.

    Args:
        solver: of `metatl.adapt.solvers`.
        moments: which rows give batch norm its moments: `frozen` uses the running ones, as for a pre-trained
            net; `support` the support rows; `batch` all rows of a pass, which is transductive.
        growing: whether, while it is learned over tasks, query row i is predicted from the first i mod
            (m + 1) of the m support rows, so that few rows and none are learned from too.
    """

    solver: Solver = NearestCentroid()
    moments: Moments = "frozen"
    growing: bool = False

    @property
    def batched(self) -> bool:
        """As the solver is."""
        return self.solver.batched

    @property
    def order_free(self) -> bool:
        """As the solver is."""
        return self.solver.order_free

    @property
    def rotation_invariant(self) -> bool:
        """As the solver is."""
        return self.solver.rotation_invariant

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """The net needs features, and the solver targets of its kind."""
        if net.head is None:
            raise MetatlError("ClosedForm needs a net with a linear output layer; name one (head)")
        if real and not self.solver.real:
            raise MetatlError(f"{type(self.solver).__name__} {NEEDS_LABELS}")

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """What the solver finds; tuples of tensors. Differentiable in the weights where the solver is."""
        features, support = self._features(net, transfer, support)
        return self._solved(transfer, features, support.y, net.outputs, support.weight)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs] for the rows x."""
        return self.solver.predict(fitted, self._of_queries(net, transfer, Episode(support, Batch(x))))

    def prior(self, net: Net, transfer: Transfer) -> Params:
        """The solver's."""
        size = net.head_like(transfer.params).shape[1]
        return self.solver.prior(size, net.outputs)

    @property
    def spreads(self) -> bool:
        """As the solver does."""
        return self.solver.spreads

    def spread(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Variance [n, outputs], as the solver says."""
        return self.solver.spread(fitted, self._of_queries(net, transfer, Episode(support, Batch(x))))

    def learned_output(self, net: Net, transfer: Transfer, episode: Episode) -> Any:
        """Outputs; mean and variance of real targets where the solver says both, and the evidence it has."""
        around, support = self._features(net, transfer, episode.support)
        features = self._of_queries(net, transfer, episode)
        real, given = (
            support.y.is_floating_point() and self.solver.spreads,
            (support.y, net.outputs, support.weight),
        )

        found: tuple[Tensor, ...]
        if self.growing:
            found = self.solver.grown(self._carried(transfer), around, *given, features)
        else:
            fitted = self._solved(transfer, around, *given)
            mean = self.solver.predict(fitted, features)
            found = (mean, self.solver.spread(fitted, features)) if real else (mean,)
        both, y = torch.cat([around, features]), torch.cat([support.y, episode.query.y])
        evidence = self.solver.evidence(self._carried(transfer), both, y, net.outputs)
        return Predictive(*found, evidence=evidence) if real or evidence is not None else found[0]

    def read(self, output: Any, y: Any) -> Any:
        """The mean."""
        return output.mean if isinstance(output, Predictive) else output

    def _solved(
        self, transfer: Transfer, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None
    ) -> Any:
        given, prior = (features, y, outputs, weight), self._carried(transfer)
        return self.solver.fit_under(prior, *given) if prior else self.solver.fit(*given)

    def _carried(self, transfer: Transfer) -> Params:
        """The prior that was learned; MetatlError for one of another solver."""
        found, own = prior_in(transfer), self.solver.prior(1, 1)
        if found and not {*own} <= {*found}:
            raise MetatlError(
                f"the start carries a prior of another kind ({', '.join(found)}), and "
                f"{type(self.solver).__name__} reads {', '.join(own)}; start from weights without it"
            )
        return found

    def _features(self, net: Net, transfer: Transfer, support: Batch) -> tuple[Tensor, Batch]:
        """Of the support rows, and these with labels as solvers read them."""
        support = at_the_door(net, support, none=bool(prior_in(transfer)))
        if not isinstance(support.y, Tensor):
            raise MetatlError("ClosedForm fits one target; give y as one tensor")
        with moments_from(Rows(frozen=self.moments == "frozen", weight=support.weight)):
            return net.features(transfer.params, transfer.buffers, support.x), support

    def _of_queries(self, net: Net, transfer: Transfer, episode: Episode) -> Tensor:
        return predict_with(
            lambda rows: net.features(transfer.params, transfer.buffers, rows),
            net.batch_moments,
            episode,
            self.moments,
        )
