"""Values chosen by cross-validation inside the labelled rows, never on the test part."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from metatl.data.fixed import MOST_FOLDS, Index, divided
from metatl.lab.experiment import with_value
from metatl.transferring.backbone import Backbone
from metatl.transferring.by_source import held_out_of_source
from metatl.transferring.fit import DivergedError, Labelled
from metatl.transferring.held_out import parts_of, scores
from metatl.transferring.judging import kind_of
from metatl.transferring.rows import Row
from metatl.transferring.span import in_span


@dataclass(frozen=True)
class Choice:
    """A row with its values in place.

    how: `cv`, `source` (by the source's rows), `default` (no cross-validation possible), `fixed`.
    """

    row: Row
    selected: dict[str, Any]
    how: str


def folds_of(strata: Index, seed: int, group: Any = None) -> Index | None:
    """[n]: stratified folds inside labelled rows, None where a class has one only; or folds of groups."""
    least = int(np.bincount(strata).min()) if group is None else len(np.unique(group))
    return None if least < 2 else divided(strata, group, min(MOST_FOLDS, least), [seed, 3])


def strata_of(y: Tensor) -> Index:
    """[n]: the class of every row; 0 for labels and real values."""
    return y.numpy() if kind_of(y) == "classes" else np.zeros(len(y), np.int64)


def chosen(row: Row, backbone: Backbone, draws: Sequence[Labelled], validate: bool = True) -> list[Choice]:
    """For every draw the values of best cross-validated score inside it.

    Of equals it is the default, then the earlier ones; values with which a fit diverges are not chosen, and
    where all do it is the default, `diverged`. validate: where there is no time for it, the row takes its
    defaults, as where a class has one row only.
    """
    candidates, default = list(_candidates(row)), defaults(row)
    if len(candidates) < 2:
        return [Choice(row, default, "fixed")] * len(draws)
    if row.adaptation.streams and not any(len(draw.y) for draw in draws):
        return [by_source(row, candidates, draw, validate) for draw in draws]
    folds = [folds_of(strata_of(draw.y), draw.key, draw.group) if validate else None for draw in draws]
    seen = in_span(draws) if row.adaptation.rotation_invariant else draws
    split = [(draw, fold) for draw, fold in zip(seen, folds, strict=True) if fold is not None]
    parts = [parts_of(*one) for one in split]
    told = scores([one for _, one in candidates], backbone, split, parts)
    found = iter(zip(*told, strict=True))
    plain = Choice(row, default, "default")
    return [plain if fold is None else _best(candidates, next(found), plain) for fold in folds]


def _best(candidates: list[tuple[dict[str, Any], Row]], scores: Sequence[float], plain: Choice) -> Choice:
    """The candidate of the highest score; of equals the default, then the earlier ones."""
    highest = max((score for score in scores if score == score), default=None)
    if highest is None:
        return replace(plain, how="diverged")
    equal = [one for one, score in zip(candidates, scores, strict=True) if score == highest]
    values, row = next((one for one in equal if one[0] == plain.selected), equal[0])
    return Choice(row, values, "cv")


def by_source(
    row: Row, candidates: list[tuple[dict[str, Any], Row]], draw: Labelled, validate: bool
) -> Choice:
    """The candidate with the best score on held-out rows of the source: no label of the target is there."""
    plain = Choice(row, defaults(row), "default")
    scores = [held_out_of_source(one, draw) for _, one in candidates] if validate else []
    told = [score for score in scores if score is not None]
    if not told or len(told) < len(candidates):
        return plain
    found = _best(candidates, told, plain)
    return replace(found, how="source") if found.how == "cv" else found


def again(row: Row, selected: Mapping[str, Any], how: str) -> Choice | None:
    """The row with values that were chosen before; None where they are none of its own."""
    found = (Choice(one, values, how) for values, one in _candidates(row) if values == dict(selected))
    return next(found, None)


def surely(choice: Choice) -> Choice:
    """The choice; raises DivergedError where there was none."""
    if choice.how == "diverged":
        raise DivergedError("every value that was tried in cross-validation diverges; take smaller ones")
    return choice


def fits(row: Row, rows: int, classes: int, validate: bool) -> float:
    """How many fits to all of the labelled rows choosing a row's values and fitting it amount to.

    Without labelled rows it is by the source's, of which there are enough.
    """
    folds = min(MOST_FOLDS, rows // max(classes, 1)) if rows or row.needs_labels else MOST_FOLDS
    candidates = math.prod(len(values) for values in row.grid.values())
    return 1.0 + candidates * (folds - 1) if validate and candidates > 1 and folds > 1 else 1.0


def _candidates(row: Row) -> list[tuple[dict[str, Any], Row]]:
    grid = row.grid
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
    for path in row.grid:
        value: Any = row.adaptation
        for key in path.split("."):
            value = _inside(value, key)
        found[path] = value
    return found


def _inside(value: Any, key: str) -> Any:
    """What a value holds under this key of a path."""
    if isinstance(value, tuple):
        return value[int(key)]
    return value[key] if isinstance(value, dict) else getattr(value, key)
