"""Streams by name: what adaptations across domains find in their support."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.alignments import TwoDomains
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer

NAMES = ("labelled", "source", "unlabelled")
"""Of the streams: x of all, y of the first two."""
PAIRS = ("paired_source", "paired_target")
"""Streams that there may be beside them: x of the same things in both domains."""
NEEDED = "reads a source's rows beside the target's, which 'metatl transfer --source' gives"


class OfStreams(Adaptation):
    """An adaptation whose support holds streams by name, as `metatl transfer` gives them."""

    @property
    def streams(self) -> tuple[str, ...]:
        """The source."""
        return ("source",)

    @property
    def batched(self) -> bool:
        """Never: rows of streams are as many as they are."""
        return False

    def of_source(
        self, net: Net, transfer: Transfer, support: Batch
    ) -> tuple[Adaptation, Batch, Callable[[Batch], Batch]]:
        """What is fitted to some rows of the source to be judged by others; these rows; some as a support."""
        rows = domains(net, transfer, support).source
        return self, rows, lambda some: _with_source(support, some)

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """Tasks of a benchmark have no streams."""
        raise MetatlError(f"{type(self).__name__} {NEEDED}")


def domains(net: Net, transfer: Transfer, support: Batch, unlike: bool = False) -> TwoDomains:
    """Streams as features of two domains; rows without streams are of both at once (identical ones).

    unlike: whether rows of the source are features already, of columns of their own. Raises MetatlError where
    a stream is missing.
    """
    x, y = support.x, support.y
    if not isinstance(x, Mapping):
        x, y = dict.fromkeys((*NAMES, *PAIRS), x), dict.fromkeys(NAMES[:2], y)
    held = dict(cast(Mapping[str, Tensor], x))
    if not {*NAMES} <= {*held}:
        raise MetatlError(f"an adaptation across domains {NEEDED}")
    own = ("source", PAIRS[0]) if unlike else ()
    with torch.no_grad():
        passed = [name for name in held if name not in own]
        held |= {n: net.features(transfer.params, transfer.buffers, held[n]) for n in passed}
    source, labelled = (Batch(held[name], y[name]) for name in ("source", "labelled"))
    paired = (held[PAIRS[0]], held[PAIRS[1]]) if {*PAIRS} <= {*held} else None
    return TwoDomains(source, labelled, held["unlabelled"], paired)


def _with_source(support: Batch, source: Batch) -> Batch:
    return Batch({**support.x, "source": source.x}, {**support.y, "source": source.y})


def none_of(y: Any) -> Tensor:
    """No targets of the type of these [n, ...]."""
    return (y["source"] if isinstance(y, Mapping) else y)[:0]
