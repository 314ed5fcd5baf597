"""Estimators that were fitted to a source's rows, once of the same ones."""

from __future__ import annotations

import copy
import functools
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from metatl.adapt.estimators.classes import class_of

_HELD = 8
"""Estimators of sources that stay in memory: folds and draws of a table share one."""


def fitted_source(path: str, options: dict[str, Any], x: Any, y: Any) -> Any:
    """A copy of the estimator of this dotted path, fitted to rows x [n, d], y [n] once."""
    said = hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest()
    key = (path, repr(sorted(options.items())), said, x.shape[1])
    return copy.deepcopy(_fitted(key, _SourceRows(x, y, options)))


@dataclass(frozen=True, eq=False)
class _SourceRows:
    """Rows whose identity is that of the key beside them."""

    x: Any
    y: Any
    options: dict[str, Any]

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _SourceRows)


@functools.lru_cache(maxsize=_HELD)
def _fitted(key: tuple[Any, ...], rows: _SourceRows) -> Any:
    made = class_of(key[0])(**rows.options)
    if "random_state" in made.get_params() and made.get_params()["random_state"] is None:
        made.set_params(random_state=0)
    return made.fit(np.asarray(rows.x, np.float32), rows.y)
