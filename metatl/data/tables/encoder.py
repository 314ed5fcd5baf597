"""Columns of a table as the inputs of a net: imputed, scaled, one-hot; fitted once, applied to any rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from metatl.data.tables.columns import Array, Columns, as_text, missing
from metatl.data.tables.fitting import fitted_booleans, fitted_categories, fitted_numbers
from metatl.data.tables.plan import PARTS, Plan, as_categories, booleans, numbers, of_use
from metatl.types import MetatlError

_ARRAYS = ("fill", "absent", "mean", "scale", "boolean_fill", "boolean_absent")


class Categories(NamedTuple):
    """The categories of a column that have an output each, and those that share one; None is missing."""

    frequent: tuple[str | None, ...]
    rare: tuple[str | None, ...] = ()


@final
@dataclass(frozen=True, eq=False)
class Encoder:
    """Columns -> [n, width] float32, as scikit-learn's ColumnTransformer of its imputers, scaler and one-hot.

    Numbers: (x - mean) / scale, with the median where missing, and beside them a scaled indicator for each
    that had missing values. Dates: year, month, day of the week and days since the earliest, as numbers.
    Booleans: 0 and 1, the more frequent one where missing, and an indicator. Categories: one-hot, at most 50
    (the most frequent) and one for the others; a category that was not seen is 0 everywhere, and counted by
    `unknown`; missing is a category. What is left out is named in `left_out`.

    Fitting needs scikit-learn; applying and loading do not.
    """

    unit: ClassVar[str] = "row"

    plan: Plan
    formats: Mapping[str, str]
    earliest: Mapping[str, str]
    categories: Mapping[str, Categories]
    arrays: Mapping[str, Array]

    @staticmethod
    def fit(columns: Columns) -> Encoder:
        """Fitted to these rows, which hold no targets; MetatlError if no column is of use."""
        plan = of_use(columns)
        earliest = {name: str(columns[name][~missing(columns[name])].min()) for name in plan.of("date")}
        found = fitted_numbers(numbers(columns, plan, earliest))
        found |= fitted_booleans(booleans(columns, plan))
        texts = {name: as_text(columns[name]) for name in plan.of("category")}
        categories = {name: Categories(*fitted_categories(values)) for name, values in texts.items()}
        formats = {name: columns.formats[name] for name in plan.uses if name in columns.formats}
        return Encoder(plan, formats, earliest, categories, found)

    @property
    def left_out(self) -> Mapping[str, str]:
        """Columns that become no input, each with the reason."""
        return self.plan.left_out

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that it needs."""
        return tuple(self.plan.uses)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the outputs."""
        plain = [*self.plan.of("number")]
        plain += [f"{name} {part}" for name in self.plan.of("date") for part in PARTS]
        found = plain + [f"{plain[i]} missing" for i in self.arrays["absent"].tolist()]
        yes_no = self.plan.of("boolean")
        found += [*yes_no, *(f"{yes_no[i]} missing" for i in self.arrays["boolean_absent"].tolist())]
        for name, known in self.categories.items():
            found += [f"{name} missing" if one is None else f"{name}={one}" for one in known.frequent]
            found += [f"{name}: other"] if known.rare else []
        return tuple(found)

    @property
    def width(self) -> int:
        """Number of outputs."""
        return len(self.names)

    def __call__(self, columns: Columns) -> Tensor:
        """The inputs [n, width]; MetatlError for columns that lack or have another type now."""
        columns.require(self.columns)
        a = self.arrays
        plain = _filled(numbers(columns, self.plan, self.earliest), a["fill"], a["absent"])
        blocks = [(plain - a["mean"]) / a["scale"]]
        blocks.append(_filled(booleans(columns, self.plan), a["boolean_fill"], a["boolean_absent"]))
        blocks += [_one_hot(self._texts(columns, name), known) for name, known in self.categories.items()]
        return torch.from_numpy(np.concatenate(blocks, 1)).float()

    def stacked(self, rows: Sequence[Tensor]) -> Tensor:
        """Encoded rows [width] as one batch [n, width]."""
        return torch.stack(list(rows))

    def example(self) -> Tensor:
        """Two rows of nothing, [2, width]: a pass over them tells layers by use."""
        return torch.zeros(2, self.width)

    @property
    def told(self) -> str:
        """What a net is given, in a few words for tables."""
        return f"on {len(self.columns)} columns as {self.width} numbers"

    def unknown(self, columns: Columns) -> dict[str, int]:
        """How many values of each column of categories were not seen when it was fitted; none left out."""
        found: dict[str, int] = {}
        for name, known in self.categories.items():
            seen = {None, *known.frequent, *known.rare}
            count = sum(text not in seen for text in self._texts(columns, name))
            found |= {name: count} if count else {}
        return found

    def notes(self, columns: Columns) -> tuple[str, ...]:
        """What is worth saying of these rows: columns that play no part, and values that were not seen.

        Raises MetatlError where one that plays a part is not there.
        """
        columns.require(self.columns)
        extra = [name for name in columns if name not in self.plan.uses and name not in self.left_out]
        said = [f"{columns.name}: {', '.join(extra)} unknown to the model, ignored"] if extra else []
        for name, count in self.unknown(columns).items():
            values = f"{count} value{'s' * (count > 1)} of {name}"
            said.append(f"{columns.name}: {values} not seen when fitted, taken as unknown")
        return tuple(said)

    def values(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Everything, as plain JSON values and float64 or int64 tensors."""
        plain = {
            "uses": dict(self.plan.uses),
            "left_out": dict(self.left_out),
            "formats": dict(self.formats),
            "earliest": dict(self.earliest),
            "categories": {
                name: [list(known.frequent), list(known.rare)] for name, known in self.categories.items()
            },
        }
        return plain, {name: torch.from_numpy(array.copy()) for name, array in self.arrays.items()}

    @staticmethod
    def of(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Encoder:
        """The encoder of these `values`; MetatlError where they do not belong together."""
        try:
            categories = {
                name: Categories(tuple(frequent), tuple(rare))
                for name, (frequent, rare) in values["categories"].items()
            }
            plan = Plan(dict(values["uses"]), dict(values["left_out"]))
            arrays: dict[str, Array] = {name: tensors[name].cpu().numpy() for name in _ARRAYS}
            found = Encoder(plan, dict(values["formats"]), dict(values["earliest"]), categories, arrays)
            plain = len(plan.of("number")) + len(PARTS) * len(plan.of("date"))
            fits = len(arrays["fill"]) == plain and len(arrays["boolean_fill"]) == len(plan.of("boolean"))
            wide = len(arrays["mean"]) == len(arrays["scale"]) == plain + len(arrays["absent"])
            right = fits and wide and set(found.names) and {*categories} == {*plan.of("category")}
            nothing = Columns({name: np.full(1, np.nan) for name in plan.uses})
            right = right and found(nothing).shape == (1, found.width) and not found.unknown(nothing)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise MetatlError(f"the encoder of a table is damaged ({error}); get the model again") from error
        if not right:
            raise MetatlError("the encoder of a table is damaged: its parts do not fit; get the model again")
        return found

    def _texts(self, columns: Columns, name: str) -> list[str | None]:
        known = self.categories[name]
        return as_categories(columns, name, {*known.frequent, *known.rare})


def _filled(values: Array, fill: Array, absent: Array) -> Array:
    """[n, d + a]: missing values filled, and indicators of those columns that had some."""
    blank = np.isnan(values)
    return np.concatenate([np.where(blank, fill, values), blank[:, absent].astype(np.float64)], 1)


def _one_hot(texts: list[str | None], known: Categories) -> Array:
    place = {one: i for i, one in enumerate(known.frequent)} | dict.fromkeys(known.rare, len(known.frequent))
    found = np.zeros((len(texts), len(known.frequent) + bool(known.rare)))
    at = np.array([place.get(text, -1) for text in texts], np.int64)
    found[np.flatnonzero(at >= 0), at[at >= 0]] = 1.0
    return found
