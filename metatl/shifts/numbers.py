"""Both domains as numbers: the columns that they share, or features of a net."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metatl.data.examples import Inputs
from metatl.data.tables import Columns, Encoder
from metatl.shifts.domains import ComparedDomain
from metatl.shifts.tested import Labels, Rows
from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.features import features, forward, readable
from metatl.transferring.prepared import check_unit, prepared_rows, whole
from metatl.types import MetatlError


@dataclass(frozen=True)
class Space:
    """The feature spaces: names of columns of both, of one alone, and those that hold another type."""

    shared: tuple[str, ...]
    source: tuple[str, ...]
    target: tuple[str, ...]
    changed: tuple[str, ...]

    @property
    def named(self) -> str:
        """In one word."""
        if not self.shared:
            return "disjoint"
        return "overlapping" if self.source or self.target or self.changed else "the same"


def space(source: Inputs, target: Inputs) -> Space:
    """Which columns the domains share; rows without columns share what their net sees."""
    one, other = source.columns, target.columns
    if one is None or other is None:
        return Space(("features of the net",), (), (), ())
    both = [name for name in one if name in other]
    alike = [name for name in both if one[name].dtype.kind == other[name].dtype.kind]
    return Space(
        tuple(alike),
        tuple(name for name in one if name not in other),
        tuple(name for name in other if name not in one),
        tuple(name for name in both if name not in alike),
    )


def as_numbers(
    source: ComparedDomain, target: ComparedDomain, found: Space, net: str | None
) -> tuple[ComparedDomain, ComparedDomain, Rows | None, Rows | None, tuple[str, ...]]:
    """Both domains without rows that cannot be read, their numbers [n, d], and what each number is.

    Numbers of columns are fitted to both domains, so that none of them is the one that others are seen by.
    None for disjoint feature spaces.
    """
    if source.inputs.columns is not None and net is None:
        if not found.shared:
            return source, target, None, None, ()
        one, other = (domain.inputs.columns.only(found.shared) for domain in (source, target))
        encoder = Encoder.fit(_joined(one, other))
        return source, target, _plain(encoder(one)), _plain(encoder(other)), encoder.names
    made = backbone(net) if net else None
    if made is None:
        raise MetatlError(f"{source.name}: {source.inputs.unit}s need a net; name one with --net")
    read = [features_of(domain, made) for domain in (source, target)]
    names = tuple(f"feature {i}" for i in range(read[0][1].shape[1]))
    return read[0][0], read[1][0], read[0][1], read[1][1], names


def _plain(x: Any) -> Rows:
    return x.double().numpy()


def _joined(one: Columns, other: Columns) -> Columns:
    arrays = {name: np.concatenate([one[name], other[name]]) for name in one}
    return replace(one, arrays=arrays, lines=None, name=f"{one.name} and {other.name}")


def features_of(domain: ComparedDomain, net: Backbone) -> tuple[ComparedDomain, Rows]:
    """The rows that can be read, and what the net's body gives for them."""
    check_unit(net, domain.inputs)
    if (held := whole(net.preparation, domain.inputs)) is not None:
        return domain, _plain(forward(net.body(), net.preparation(held)))
    rows = prepared_rows(domain.inputs, net)
    digests = [_digest(domain.inputs, i) for i in range(len(domain.inputs))]
    found = features(net.body, net.key, digests, readable(rows.one, net.preparation.stacked))
    kept = [i for i, row in enumerate(found) if row is not None]
    if not kept:
        raise MetatlError(f"{domain.name}: no {domain.inputs.unit} can be read")
    return domain.take(kept), np.stack([_plain(found[i]) for i in kept])


def _digest(inputs: Inputs, place: int) -> str | None:
    try:
        return inputs.digest(place)
    except MetatlError:
        return None


def labels(
    source: ComparedDomain, target: ComparedDomain
) -> tuple[tuple[str, ...], Labels | None, Labels | None]:
    """Names of the classes, the source's first, and every row's class, -1 where it is not known.

    Real values become four classes, cut at the quartiles of the source.
    """
    if source.values is not None:
        cuts = np.unique(np.nanquantile(source.values, (0.25, 0.5, 0.75)))
        names = (*(f"up to {cut:.4g}" for cut in cuts), f"above {cuts[-1]:.4g}")
        values = (source.values, target.values if target.values is not None else _told(target))
        cut = [None if v is None else np.where(np.isnan(v), -1, np.searchsorted(cuts, v)) for v in values]
        return names, cut[0], cut[1]
    if not source.called:
        return (), None, None
    own = sorted({name for name in source.called if name is not None})
    new = sorted({name for name in target.called if name is not None} - {*own})
    place: dict[str | None, int] = {name: i for i, name in enumerate([*own, *new])}
    found = [np.array([place.get(name, -1) for name in d.called], np.int64) for d in (source, target)]
    return (*own, *new), found[0], found[1] if target.called else None


def _told(target: ComparedDomain) -> Rows | None:
    """Whole numbers of the target that were taken for classes, where the source's values are real."""
    if not target.called:
        return None
    try:
        return np.array([np.nan if name is None else float(name) for name in target.called])
    except ValueError as error:
        raise MetatlError(
            f"target: {target.name} has words for targets, and the source's are numbers"
        ) from error
