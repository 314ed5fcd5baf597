"""Several sources: the one that an estimate says to be the best is learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.adapt import ClosedForm
from metatl.adapt.solvers import LogisticRegression
from metatl.data.examples import Examples, Index
from metatl.data.fixed import Fixed
from metatl.data.tables import Encoder
from metatl.density_ratio.ratio import gaussian, median_distance
from metatl.estimates import LEEP, Pair, ordered
from metatl.transferring.backbone import backbone
from metatl.transferring.problem import digests_of, seen_by
from metatl.transferring.readout import fit_readout
from metatl.types import Batch, MetatlError

MOST = 500
"""Rows of each side that nearness looks at."""


@dataclass(frozen=True)
class Aim:
    """What the order of sources may look at.

    net, size: of the features, as `transfer` takes them (None for columns as they are); counts: the numbers
    of labels asked for; seed: of the draws.
    """

    net: str | Path | None
    size: int | None
    counts: Sequence[int | None]
    seed: int

    def labelled(self, examples: Examples) -> Index:
        """The rows whose labels may choose: those of the first draw of the fewest labels asked for.

        None where 0 labels are asked for, and where the labels of one draw judge another (folds).
        """
        task = Fixed(examples.targets.strata(), examples.pool, examples.test, self.seed, examples.group)
        fewest = self.counts[0]
        if fewest == 0 or task.test is None or examples.targets.kind != "classes":
            return np.zeros(0, np.int64)
        return task.draw(None if fewest is None else min(fewest, task.most), 0).labelled


def several(source: Any) -> list[Any]:
    """The sources of one argument; raises MetatlError for a place that is named twice, and for none."""
    if not isinstance(source, list | tuple) or not all(isinstance(one, str | Path) for one in source):
        return [source]
    places = [Path(one).resolve() for one in source]
    twice = [str(one) for one, place in zip(source, places, strict=True) if places.count(place) > 1]
    if twice:
        raise MetatlError(f"source: {twice[0]} is named twice; name each source once")
    if not places:
        raise MetatlError("source: no source is named; name one, or leave it out")
    return list(source)


def only(sources: Sequence[str] | None, where: str) -> str | None:
    """The one source, or none; raises MetatlError for several where nothing puts them in an order."""
    if sources is None or len(sources) == 1:
        return None if sources is None else sources[0]
    raise MetatlError(f"source: {where} takes one source, and here are {len(sources)}; leave all but one out")


def best(sources: Mapping[str, Examples], problem: Examples, aim: Aim) -> tuple[str, list[str]]:
    """The source that rows learn from, by name, and a note on the order of all of them.

    By LEEP of a classifier of each source on the labelled rows that may choose (`Aim.labelled`), else by the
    nearness of their inputs to those that may be labelled. Raises MetatlError for sources of the same rows,
    without a column of the problem's, or with nothing to be compared in.
    """
    contents = {name: sorted(filter(None, digests_of(one.inputs)[0])) for name, one in sources.items()}
    names = [*sources]
    for place, name in enumerate(names):
        for other in names[:place]:
            if contents[name] == contents[other]:
                raise MetatlError(f"source: {other} and {name} hold the same rows; name one of them")
    rows = aim.labelled(problem)
    seen = {name: _features(one, problem, aim) for name, one in sources.items()}
    if len(rows):
        pairs = {name: _pair(sources[name], problem, seen[name], rows) for name in names}
        found = ordered(pairs, LEEP())
        if all(isfinite(value) for _, value in found):
            each = len(rows) // problem.targets.outputs
            how = f"LEEP on {each} labels of each class, those of the first draw"
            return found[0][0], [_told(found, how)]
    own = torch.from_numpy(problem.pool)
    near = {name: nearness(_whole(ours[own]), _whole(theirs)) for name, (theirs, _, ours) in seen.items()}
    found = sorted(near.items(), key=lambda one: -one[1])
    return found[0][0], [_told(found, "nearness of inputs (-MMD^2, Gaussian kernels), which reads no label")]


def nearness(target: Tensor, source: Tensor) -> float:
    """-MMD^2 = 2 mean K(s, t) - mean K(s, s') - mean K(t, t'), at most 0, which equal rows have.

    target [n, d], source [m, d]; K Gaussian, as wide as the median distance among the target's rows, which
    alone define the scale of every column, so that several sources stand beside one another. Of more than 500
    rows some at even distances. Source: Gretton et al. 2012, JMLR 13.
    """
    scale = target.double().std(0, correction=0)
    t, s = (_some(one.double() / torch.where(scale > 0, scale, 1.0)) for one in (target, source))
    width = median_distance(t)
    return float(
        2 * gaussian(s, t, width).mean() - gaussian(s, s, width).mean() - gaussian(t, t, width).mean()
    )


def _whole(rows: Tensor) -> Tensor:
    return rows[rows.isfinite().all(1)]


def _some(rows: Tensor) -> Tensor:
    return rows[torch.linspace(0, len(rows) - 1, min(len(rows), MOST)).long()]


def _features(source: Examples, problem: Examples, aim: Aim) -> tuple[Tensor, Index, Tensor]:
    """Of the source's rows [m, d] and which of them these are, and of the problem's [n, d]."""
    if aim.net is not None:
        net = backbone(aim.net, aim.size)
        (kept, theirs), (whole, ours) = (
            seen_by(net, one.inputs, digests_of(one.inputs)[0]) for one in (source, problem)
        )
        filled = torch.full((len(problem.inputs), ours.shape[1]), torch.nan)
        filled[torch.from_numpy(whole)] = ours
        return theirs, kept, filled
    theirs, ours = source.inputs.columns, problem.inputs.columns
    if theirs is None or ours is None:
        raise MetatlError(
            f"source: several are compared in columns or in features, and {problem.inputs.unit}s without a "
            "net have neither; name one with --net, or one source"
        )
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise MetatlError(f"source: {source.name} has no column of {problem.name}'s; leave it out")
    encoder = Encoder.fit(ours.only(shared).take(problem.pool))
    return encoder(theirs), np.arange(len(source.inputs)), encoder(ours)


def _pair(source: Examples, problem: Examples, seen: tuple[Tensor, Index, Tensor], rows: Index) -> Pair:
    """What LEEP reads: a classifier of the source's classes on the problem's labelled rows."""
    theirs, kept, ours = seen
    x = ours[torch.from_numpy(rows)]
    there = x.isfinite().all(1)
    y = problem.targets.values[torch.from_numpy(rows)][there].numpy()
    said = None
    if source.targets.kind == "classes" and source.targets.known:
        labels = source.targets.values[torch.from_numpy(kept)]
        way = ClosedForm(LogisticRegression(l2=1e-2))
        layer = fit_readout(way, Batch(theirs, labels), source.targets.outputs)
        said = layer(x[there]).detach().double().softmax(-1).numpy()
    return Pair(x[there].double().numpy(), y, said)


def _told(found: Sequence[tuple[str, float]], how: str) -> str:
    said = ", ".join(f"{name} {value:.3g}" for name, value in found)
    return f"Sources by {how}, the best first: {said}; rows learn from {found[0][0]} alone."
