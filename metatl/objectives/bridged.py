"""Learning from rows between two domains."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from metatl.objectives import losses
from metatl.objectives.term import Seen, Term, mean_over_rows
from metatl.types import MetatlError, Params


@dataclass(frozen=True)
class Bridged(Term):
    """weight * mean over mixed rows of share CE(mixed, y_S) + (1 - share) q CE(mixed, argmax p_T).

    The stream `bridge` holds rows of share `share` of a labelled source row (a `Bridge`), `target` the other
    rows that are in them, one size; p_T is the net's share of classes there, or a teacher's where the mixed
    rows bring one along (`likely`, see `DualPath`), without a gradient. q is the part of the batch whose
    likeliest class reaches the threshold, as DACS and DDB have it; 1 at threshold 0, as FixBi has it.
    Sources: Na et al. 2021, arXiv 2011.09230; Tranheden et al. 2021, arXiv 2007.08702; Chen et al. 2022,
    arXiv 2209.07695.

    Args:
        bridge: name of the stream of mixed rows.
        weight: factor of the term.
        threshold: share of the likeliest class from which on it is sure, 0 to 1.
    """

    bridge: str = "bridge"
    weight: float = 1.0
    threshold: float = 0.0

    def __post_init__(self) -> None:
        """Raise MetatlError for a threshold that is no share."""
        if not 0.0 <= self.threshold <= 1.0:
            raise MetatlError(f"Bridged: threshold is {self.threshold}; give a share from 0 to 1")

    @property
    def streams(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The target's rows, and the mixed ones."""
        return "target", self.bridge

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The loss on the mixed rows, 0-d."""
        mixed, batch = seen.passes[self.bridge].output, seen.batches[self.bridge]
        own: Any = batch.y
        guess = own.get("likely", seen.passes["target"].output.detach().softmax(-1))
        if len(guess) != len(mixed):
            raise MetatlError(
                f"Bridged: {len(guess)} rows of target and {len(mixed)} of {self.bridge}; give both one size"
            )
        sure, label = guess.max(-1)
        q = (sure >= self.threshold).to(mixed).mean()
        share = own["share"][:, None]
        of_source, of_target = (losses.cross_entropy(mixed, y) for y in (own["label"], label))
        value = share * of_source + (1.0 - share) * q * of_target
        return self.weight * mean_over_rows(value, batch.weight)
