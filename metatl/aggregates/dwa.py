"""Dynamic weight average."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from metatl.aggregates.weighing import Weighing, check_shares
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class DWA(Weighing):
    """w = softmax(r / temperature), r_i = (mean of L_i in the last epoch) / (in that before).

    Losses that fall slowly weigh more; 1/k in the first two epochs. Published weights sum to k.
    Raises MetatlError for a loss below 0 (a log density): the ratio has no meaning. Source: Liu,
    Johns & Davison 2019, arXiv 1803.10704.

    Args:
        epoch: steps whose losses are averaged.
        temperature: large ones make weights alike.
    """

    epoch: int = 50
    temperature: float = 2.0

    def __post_init__(self) -> None:
        """Raise MetatlError for an epoch or a temperature of nothing."""
        if self.epoch < 1 or not 0.0 < self.temperature < math.inf:
            raise MetatlError(
                f"DWA: epoch is {self.epoch}, temperature {self.temperature}; give 1 step or more, "
                "and a number above 0"
            )

    def weigh(self, losses: Tensor, state: Params, there: Tensor | None = None) -> tuple[Tensor, Params]:
        """Weights [k] of losses [k]; state: this epoch's sum and count, the means of two, and steps.

        A mean is over the steps whose rows had the loss; that of an epoch without any is the one before.
        """
        losses = losses.double()
        check_shares(self, losses)
        zero, none = torch.zeros_like(losses), torch.full_like(losses, torch.nan)
        held = torch.ones_like(losses) if there is None else there.to(losses)
        now, count = state.get("now", zero), state.get("count", zero)
        last, older = state.get("last", none), state.get("older", none)
        step = int(state.get("step", torch.zeros((), dtype=torch.int64)))
        if step and step % self.epoch == 0:
            now, count, last, older = zero, zero, torch.where(count > 0, now / count, last), last
        known = step >= 2 * self.epoch
        ratio = last / older.clamp(min=torch.finfo(older.dtype).tiny) if known else torch.ones_like(losses)
        ratio = ratio.nan_to_num(nan=1.0)  # of a loss that was never there
        kept = {"now": now + held * losses, "count": count + held, "last": last, "older": older}
        kept["step"] = torch.tensor(step + 1)
        return (ratio / self.temperature).softmax(0), kept
