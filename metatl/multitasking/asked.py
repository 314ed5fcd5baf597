"""Which ways are asked for."""

from __future__ import annotations

from metatl import aggregates as agg
from metatl.multitasking.rows import SINGLE, WAYS, Way
from metatl.text import near
from metatl.types import MetatlError

USUAL = (
    SINGLE,
    "hard-sharing",
    "fixed-weights",
    "uncertainty",
    "random-weights",
    "pcgrad",
    "upgrad",
    "cross-stitch",
)


def chosen(methods: str | None, blocks: int | None = None) -> dict[str, Way]:
    """The ways asked for, and the reference; MetatlError with the nearest name for one that is none.

    blocks: of a net's, where `shared-0` (none is shared) to `shared-<blocks>` (all are) come on top.
    """
    said = (
        list(USUAL if blocks is None else ()) if methods is None else [s.strip() for s in methods.split(",")]
    )
    said = [*WAYS] if said == ["all"] else said
    points = {f"shared-{k}": _shared(k, blocks) for k in range(0 if blocks is None else blocks + 1)}
    for name in said:
        if name not in WAYS:
            raise MetatlError(f"method {name!r} is none for several targets{near(name, WAYS, len(WAYS))}")
    return {name: way for name, way in WAYS.items() if name in {*said, SINGLE}} | points


def _shared(k: int, blocks: int | None) -> Way:
    """The first k blocks are shared, the mean of the losses."""
    return Way(
        f"the first {k} of {blocks} blocks are shared", lambda k, steps: agg.Mean(), told={"shared": k}
    )
