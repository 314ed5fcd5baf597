"""Aggregates that are weighted sums of losses: one backward pass, whatever their number."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from metatl.aggregates.aggregate import Aggregate, combined
from metatl.engines.engine import gradient_of
from metatl.types import MetatlError, Params


class Weighing(Aggregate):
    """sum of w_i L_i, where w [k] follows from the losses so far; heads get their losses' weights too."""

    @abstractmethod
    def weigh(self, losses: Tensor, state: Params, there: Tensor | None = None) -> tuple[Tensor, Params]:
        """w [k] and the new state, for losses [k] without a graph; there: see `Aggregate.over_losses`."""

    def __call__(self, gradients: Params, losses: Tensor, state: Params) -> tuple[Params, Params]:
        """The weighted sum of the gradients."""
        weights, state = self.weigh(losses, state)
        return combined(weights, gradients), state

    def over_losses(
        self, losses: Sequence[Tensor], variables: Params, state: Params, there: Tensor | None = None
    ) -> tuple[Params, Params]:
        """The gradient of the weighted sum of the losses, 0-d each."""
        stacked = torch.stack(list(losses))
        weights, state = self.weigh(stacked.detach(), state, there)
        found = gradient_of(stacked @ weights.to(stacked), list(variables.values()))
        return dict(zip(variables, found, strict=True)), state


def numbers(of: object, name: str, given: Sequence[float], count: int) -> Tensor:
    """Factors [count], float64; raises MetatlError for another number of them."""
    if len(given) != count:
        raise MetatlError(
            f"{type(of).__name__}: {name} has {len(given)} numbers, and there are {count} losses"
        )
    return torch.tensor(given, dtype=torch.float64)


def check_shares(of: object, losses: Tensor) -> None:
    """Raise MetatlError for a loss below 0, of whose start a later one is no share."""
    worst = int(losses.argmin())
    if float(losses[worst]) < 0:
        raise MetatlError(
            f"{type(of).__name__}: loss {worst + 1} of {len(losses)} is {float(losses[worst]):.4g}, and "
            "weights go by shares of what losses were; give losses of 0 or more, or take PCGrad or NashMTL, "
            "which look at gradients alone"
        )
