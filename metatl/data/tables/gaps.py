"""Targets that some rows lack, over all rows of a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from metatl.data.tables.columns import Columns
from metatl.data.tables.target import target
from metatl.data.targets import MISSING, Targets
from metatl.types import MetatlError

_ROW = "row of the table\x00"


def over_all_rows(columns: Columns, name: str, fewest: int) -> tuple[Targets, Tensor]:
    """One of several targets, and y over all rows: labels [n], -1 where missing, or values [n, 1], NaN there.

    Raises MetatlError as `target`, and where fewer rows than `fewest` have it.
    """
    found, rest = target(replace(columns, arrays={**columns.arrays, _ROW: np.arange(columns.rows)}), name)
    at = torch.from_numpy(rest[_ROW])
    if len(at) < fewest:
        raise MetatlError(
            f"{columns.name}: target {name!r} has {len(at)} rows; a task needs {fewest} or more"
        )
    y = torch.full((columns.rows,), MISSING)
    if found.kind != "classes":
        y = torch.full((columns.rows, 1), torch.nan, dtype=found.values.dtype)
    y[at] = found.values
    return found, y
