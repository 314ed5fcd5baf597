"""Values chosen by cross-validation inside the labelled rows, never on the test part."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.data.fixed import MOST_FOLDS, Index, stratified
from metatl.lab.experiment import with_value
from metatl.transferring.backbone import Backbone
from metatl.transferring.fit import NO_CLASS, DivergedError, Labelled, classes_of, fit
from metatl.transferring.rows import Row


@dataclass(frozen=True)
class Choice:
    """A row with its values in place; how: `cv`, `default` (no cross-validation possible), `fixed`."""

    row: Row
    selected: dict[str, Any]
    how: str


def folds_of(y: Index, seed: int) -> Index | None:
    """[n]: stratified folds inside labelled rows; None where a class has one row only."""
    least = int(np.bincount(y).min())
    return None if least < 2 else stratified(y, min(MOST_FOLDS, least), [seed, 3])


def chosen(row: Row, backbone: Backbone, labelled: Labelled, validate: bool = True) -> Choice:
    """The values with the highest cross-validated accuracy; of equals the default, then the earlier ones.

    Values with which a fit diverges are not chosen; DivergedError where all do. validate: where there is no
    time for it, the row takes its defaults.
    """
    candidates = list(_candidates(row))
    folds = folds_of(labelled.y.numpy(), labelled.key)
    default = defaults(row)
    if len(candidates) < 2:
        return Choice(row, default, "fixed")
    if folds is None or not validate:
        return Choice(row, default, "default")
    scores = [(held_out(one, backbone, labelled, folds).mean(), values) for values, one in candidates]
    best = max((score for score, _ in scores if score == score), default=None)
    if best is None:
        raise DivergedError("every value that was tried in cross-validation diverges; take smaller ones")
    equal = [values for score, values in scores if score == best]
    values = default if default in equal else equal[0]
    return Choice(_of_values(candidates, values), values, "cv")


def held_out(
    row: Row, backbone: Backbone, labelled: Labelled, folds: Index
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """[n]: 1 where a labelled row is named rightly by a fit to the other folds; NaN where it has no class."""
    right = np.full(len(folds), np.nan)
    for fold in range(int(folds.max()) + 1):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        try:
            model = fit(row, backbone, part_of(labelled, inside))
        except DivergedError:
            break  # which is enough to know
        rest = part_of(labelled, outside)
        named = classes_of(model.outputs(rest.features, rest.photos))
        right[outside] = torch.where(named == NO_CLASS, torch.nan, (named == rest.y).double()).numpy()
    return right


def part_of(labelled: Labelled, rows: Index) -> Labelled:
    """Some of the labelled rows, in their order."""
    at = torch.from_numpy(rows)

    def photos(whole: Callable[[], Tensor] = labelled.photos) -> Tensor:
        return whole()[at]

    return replace(labelled, features=labelled.features[at], y=labelled.y[at], photos=photos)


def _of_values(candidates: list[tuple[dict[str, Any], Row]], values: dict[str, Any]) -> Row:
    """The row of the candidates that has these values."""
    return next(row for found, row in candidates if found == values)


def fits(row: Row, rows: int, classes: int, validate: bool) -> float:
    """How many fits to all of the labelled rows choosing a row's values and fitting it amount to."""
    candidates, folds = len(_candidates(row)), min(MOST_FOLDS, rows // max(classes, 1))
    if row.moves == "head" or candidates < 2 or folds < 2 or not validate:
        return 1.0
    return 1.0 + candidates * (folds - 1)


def _candidates(row: Row) -> list[tuple[dict[str, Any], Row]]:
    grid = row.select or {}
    found: list[tuple[dict[str, Any], Row]] = []
    for combination in itertools.product(*grid.values()):
        adaptation = row.adaptation
        for path, value in zip(grid, combination, strict=True):
            adaptation = with_value(adaptation, path, value)
        values = dict(zip(grid, combination, strict=True))
        found.append((values, replace(row, adaptation=adaptation)))
    return found


def defaults(row: Row) -> dict[str, Any]:
    """The values that the row's config has."""
    found: dict[str, Any] = {}
    for path in row.select or {}:
        value: Any = row.adaptation
        for key in path.split("."):
            value = value[int(key)] if isinstance(value, tuple) else getattr(value, key)
        found[path] = value
    return found
