"""What a term of an objective is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metatl.fields import Checked
from metatl.net import Net, Pass
from metatl.text import near
from metatl.types import Batch, MetatlError, Metrics, Params, Transfer

FEATURES, OUTPUT = "features", "output"
"""What terms that align domains look at: what goes into the output layer, or what comes out of it.

Any other name is a linear layer's (`hidden.0`, say): what goes into that.
"""


class Anchor(NamedTuple):
    """The frozen reference of one task: its weights and its outputs (logits) on the rows at hand.

    params: the weights at the start of the task, output layer included; fresh: names of those that are new to
    the task (a fresh output layer); output: [n, outputs], or None when no
    term of the objective asks for it; importance: how much carried weights matter on the source, by name,
    where the transfer says so (`Importance`); memory: all that it carries, as `<role>.<weight>`.
    """

    params: Params
    output: Tensor | None
    fresh: frozenset[str] = frozenset()
    importance: Params = {}  # noqa: RUF012 - never written
    memory: Params = {}  # noqa: RUF012


def layer_of(given: Pass, layer: str) -> Tensor:
    """What a pass gives there, [n, d]."""
    ends = {FEATURES: given.features, OUTPUT: given.output}
    return ends[layer] if layer in ends else given.inputs[layer]


def width_of(net: Net, transfer: Transfer, layer: str) -> int:
    """How many numbers of a row there are; raises MetatlError for a name that is no linear layer."""
    if layer == OUTPUT:
        return net.rows(transfer.params)
    if layer == FEATURES:
        return net.head_like(transfer.params).shape[-1]
    wide = {
        name: p.shape[1] for name, p in transfer.params.items() if p.dim() == 2 and name.endswith("weight")
    }
    name = f"{layer}.weight"
    if name not in wide:
        known = [name.removesuffix(".weight") for name in wide]
        raise MetatlError(f"the net has no linear layer {layer!r}{near(layer, known)}")
    return wide[name]


def check_layers(terms: Sequence[Term], net: Net, transfer: Transfer) -> None:
    """Raise MetatlError for a layer that a term looks at and the net has not."""
    for layer in inputs_asked(terms):
        width_of(net, transfer, layer)


def inputs_asked(terms: Sequence[Term]) -> frozenset[str]:
    """The layers whose inputs terms look at, beside the output layer."""
    return frozenset(term.layer for term in terms) - {FEATURES, OUTPUT}


def mean_over_rows(values: Tensor, weight: Tensor | None) -> Tensor:
    """Mean of values [n, ...]; with weight [n], sum of weight * (a row's mean) over the sum of weights."""
    if weight is None:
        return values.mean()
    return (values.flatten(1).mean(1) * weight).sum() / weight.sum()


@dataclass(frozen=True)
class Seen:
    """What an objective over several streams looks at in one step.

    passes, batches: by the name of the stream, the labelled rows under `source`; anchor: the frozen
    reference; own: the term's own weights; progress: share of the learning that is done, 0 to 1.
    """

    passes: Mapping[str, Pass]
    batches: Mapping[str, Batch]
    anchor: Anchor
    own: Params
    progress: float | Tensor


class Term(Checked):
    """One summand of an objective: (params, output, batch, anchor) -> scalar.

    All terms of an objective share one forward pass a stream. What a term needs of the frozen reference is
    computed once per task, not once per step. A term over several streams (an adversary between two domains)
    defines `over` instead, may own weights, and stands in a learner's objective.
    """

    needs_anchor: bool = False
    """Whether it holds on to a task's start, so that it means nothing outside an adaptation."""
    needs_anchor_output: bool = False
    """Whether it asks for the frozen reference's outputs too."""
    reads_labels: bool = True
    """Whether it looks at targets."""
    streams: tuple[str, ...] = ("source",)
    """The streams that it looks at."""
    layer: str = FEATURES
    """Where in a pass it looks at them, beside the output."""

    def check(self, y: Tensor) -> None:
        """Raise MetatlError for y [n, ...] whose values it cannot take; called where they can be read."""

    def weights(self, net: Net, transfer: Transfer, key: int) -> Params:
        """The weights that a term owns, made from `key`: learned beside the net's, checkpointed with them."""
        return {}

    def __call__(self, params: Params, output: Any, batch: Batch, anchor: Anchor) -> Tensor:
        """The weighted value on the rows of one stream, 0-d; differentiable in params and output."""
        raise MetatlError(
            f"{type(self).__name__} looks at the streams {', '.join(self.streams)}; it stands in a learner's "
            "objective, not in an adaptation's"
        )

    def over(self, params: Params, seen: Seen) -> Tensor:
        """The weighted value of a learner's step, 0-d; differentiable in params, passes and own weights."""
        return self(params, seen.passes["source"].output, seen.batches["source"], seen.anchor)

    def there(self, seen: Seen) -> Tensor | None:
        """0-d bool, whether a step's rows have what it looks at (a batch may lack a target); None: always."""
        return None

    def told(self, seen: Seen) -> Metrics:
        """What else a step's records say, 0-d, by name; nothing."""
        return {}


def which_there(terms: Sequence[Term], seen: Sequence[Seen]) -> Tensor | None:
    """[k] bool, which of a step's losses are of any row; None where all terms always are."""
    said = [term.there(one) for term, one in zip(terms, seen, strict=True)]
    known = next((one for one in said if one is not None), None)
    return None if known is None else torch.stack([torch.ones_like(known) if o is None else o for o in said])


def total(terms: tuple[Term, ...], params: Params, output: Tensor, batch: Batch, anchor: Anchor) -> Tensor:
    """The objective, 0-d: the sum of its terms."""
    value = terms[0](params, output, batch, anchor)
    for term in terms[1:]:
        value = value + term(params, output, batch, anchor)
    return value
