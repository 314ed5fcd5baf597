"""What a row answers for rows that judge, part by part: classes without a labelled row are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from metatl.adapt.solvers.solver import ABSENT
from metatl.objectives.predictive import Predictive
from metatl.transferring.backbone import Backbone
from metatl.transferring.fit import DivergedError, Labelled, fit
from metatl.transferring.judging import kind_of
from metatl.transferring.readout import answers
from metatl.transferring.rows import Row
from metatl.types import Batch, Episode


def said_of(row: Row, backbone: Backbone, parts: Sequence[tuple[Labelled, Labelled]]) -> list[Predictive]:
    """`judged`, with the variances of real targets where the row says them on frozen features."""
    real = all(kind_of(inside.y) == "real" for inside, _ in parts)
    if not (real and row.adaptation.spreads and row.moves == "head"):
        return [Predictive(outputs) for outputs in judged(row, backbone, parts)]
    return [Predictive(*found.chunk(2, -1)) for found in _answered(row, backbone, parts, sure=True)]


def judged(row: Row, backbone: Backbone, parts: Sequence[tuple[Labelled, Labelled]]) -> list[Tensor]:
    """Outputs [m, classes] for the rows of every second part after a fit to the first, NaN if it diverges.

    Rows on frozen features answer all parts side by side. A class without a labelled row in a part is left
    out of its fit, and has probability 0 there.
    """
    if row.reads == "names":
        return [_judged(row, backbone, *part) for part in parts]
    seen = [_seen(inside) for inside, _ in parts]
    own = [_numbered(inside, classes) for (inside, _), classes in zip(parts, seen, strict=True)]
    found: dict[int, Tensor] = {}
    for outputs in {inside.outputs for inside in own}:
        places = [i for i, inside in enumerate(own) if inside.outputs == outputs]
        some = [(own[i], parts[i][1]) for i in places]
        found |= zip(places, _answered(row, backbone, some), strict=True)
    return [_among(found[i], classes, parts[i][0].outputs) for i, classes in enumerate(seen)]


def _seen(labelled: Labelled) -> Tensor | None:
    """The classes that have a labelled row, or one of the source; None where all or none have, and else."""
    if kind_of(labelled.y) != "classes":
        return None
    y = labelled.y if labelled.source is None else torch.cat([labelled.y, labelled.source.y])
    classes = torch.unique(y)
    return classes if 0 < len(classes) < labelled.outputs else None


def _numbered(labelled: Labelled, classes: Tensor | None) -> Labelled:
    """The labelled rows as a problem of these classes alone."""
    if classes is None:
        return labelled
    source = labelled.source
    if source is not None:
        source = source._replace(y=torch.searchsorted(classes, source.y))
    y = torch.searchsorted(classes, labelled.y)
    return replace(labelled, y=y, outputs=len(classes), source=source)


def _among(found: Tensor, classes: Tensor | None, outputs: int) -> Tensor:
    """Outputs for these classes as such for all, those that are missing never chosen."""
    if classes is None:
        return found
    return found.new_full((*found.shape[:-1], outputs), ABSENT).index_copy(-1, classes, found)


def _answered(
    row: Row, backbone: Backbone, parts: Sequence[tuple[Labelled, Labelled]], sure: bool = False
) -> list[Tensor]:
    """Outputs for parts with as many classes, all of which have labelled rows."""
    first = parts[0][0]
    if first.outputs == 1 and kind_of(first.y) == "classes":  # nothing to tell apart
        return [rest.features.new_zeros(len(rest.y), 1) for _, rest in parts]
    if row.moves == "head":
        episodes = [Episode(inside.support, Batch(rest.features)) for inside, rest in parts]
        return answers(row.adaptation, episodes, [inside.key for inside, _ in parts], first.outputs, sure)
    return [_judged(row, backbone, inside, rest) for inside, rest in parts]


def _judged(row: Row, backbone: Backbone, inside: Labelled, rest: Labelled) -> Tensor:
    try:
        return fit(row, backbone, inside).outputs(rest.features, rest.rows)
    except DivergedError:
        return torch.full((len(rest.y), inside.outputs), torch.nan)
