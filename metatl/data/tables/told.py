"""Encoded rows read back: the columns that an encoder was given, as far as its outputs tell them."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from metatl.data.tables.columns import Array
from metatl.data.tables.encoder import Encoder
from metatl.data.tables.plan import PARTS

MISSING, UNKNOWN, OTHER = "missing", "unknown", "other"


def row(encoder: Encoder, x: Tensor) -> list[tuple[str, str]]:
    """What an encoded row [width] says of every column: numbers to five digits, dates to the day.

    A value counts as missing where an indicator or a category of its own says so; elsewhere what it was
    filled with stands for it.
    """
    held, arrays, plan = x.detach().cpu().numpy().astype(np.float64), encoder.arrays, encoder.plan
    numbers, yes_no = len(arrays["fill"]), len(arrays["boolean_fill"])
    scaled = len(arrays["mean"])
    values, lost = _plain(held[:scaled] * arrays["scale"] + arrays["mean"], numbers, arrays["absent"])
    place = scaled + yes_no + len(arrays["boolean_absent"])
    truths, untold = _plain(held[scaled:place], yes_no, arrays["boolean_absent"])
    counted, dated = plan.of("number"), plan.of("date")
    found = {name: MISSING if i in lost else f"{values[i]:.5g}" for i, name in enumerate(counted)}
    for i, name in enumerate(dated):
        days = len(counted) + len(PARTS) * i + PARTS.index("days")
        found[name] = MISSING if days in lost else _date(encoder.earliest[name], values[days])
    for i, name in enumerate(plan.of("boolean")):
        no, _, yes = encoder.formats.get(name, "").removeprefix("boolean ").partition("/")
        found[name] = MISSING if i in untold else (yes or "true") if truths[i] > 0.5 else (no or "false")
    for name, known in encoder.categories.items():
        options = [MISSING if one is None else one for one in known.frequent]
        options += [OTHER] if known.rare else []
        share = held[place : place + len(options)]
        found[name] = options[int(share.argmax())] if share.any() else UNKNOWN
        place += len(options)
    return [(name, found[name]) for name in plan.uses]


def _plain(values: Array, count: int, absent: Array) -> tuple[Array, set[int]]:
    """The first `count` values, and the places of those whose indicator after them says missing."""
    return values[:count], {
        int(place) for place, one in zip(absent, values[count:], strict=True) if one > 0.5
    }


def _date(earliest: str, days: float) -> str:
    return str(
        (np.datetime64(earliest, "s") + np.timedelta64(round(86400 * days), "s")).astype("datetime64[D]")
    )
