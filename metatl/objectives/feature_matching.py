"""Features of a target row drawn to those of the source row that is of the same thing."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from metatl.objectives.term import FEATURES, Seen, Term, layer_of, mean_over_rows
from metatl.types import Params


@dataclass(frozen=True)
class FeatureMatching(Term):
    """weight * mean over pairs and numbers of (h(x_T) - h(x_S))^2, h(x_S) a constant of the gradient.

    Row i of the stream `paired_target` is of the same thing as row i of `paired_source`: a night recorded by
    two devices at once, say. No label is read. Source: Heremans et al. 2022, arXiv 2201.00644, who learn the
    source's labels beside it.

    Args:
        weight: factor of the term.
        layer: what is matched: the `features` before the output layer, the `output`, or what goes into the
            linear layer of this name.
    """

    weight: float = 1.0
    layer: str = FEATURES

    streams = ("paired_source", "paired_target")
    reads_labels = False

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The mean squared distance, 0-d."""
        one, other = (layer_of(seen.passes[name], self.layer) for name in self.streams)
        weight = seen.batches["paired_target"].weight
        return self.weight * mean_over_rows((other - one.detach()).square(), weight)
