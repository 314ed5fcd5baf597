"""What episodes of unequal shape turned out to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from metatl import tree
from metatl.data.source import Data, Tasks
from metatl.types import Episode

Numbers = dict[str, list[float]]


@dataclass(frozen=True)
class Shapes:
    """Classes, support rows and query rows of every episode that was seen."""

    seen: dict[str, list[int]] = field(default_factory=dict[str, list[int]])

    def add(self, some: Episode, count: int) -> None:
        """Some episodes alike in shape."""
        sizes = {"support rows": tree.first(some.support.x), "query rows": tree.first(some.query.x)}
        shape = {name: leaf.shape[1] for name, leaf in sizes.items()}
        if some.classes is not None:
            shape = {"classes": some.classes.shape[1], **shape}
        for name, value in shape.items():
            self.seen.setdefault(name, []).extend([value] * count)

    def facts(self, data: Data, tasks: Tasks) -> dict[str, Any]:
        """Least, mean and most of each where they may differ; classes that were left out, and their rows."""
        found: dict[str, Any] = {}
        if tasks.varied:
            found["shapes"] = {
                name: [min(values), round(sum(values) / len(values), 2), max(values)]
                for name, values in self.seen.items()
            }
        left = data.describe().get("left_out")
        return found | ({"left_out": dict(left)} if isinstance(left, dict) and left else {})  # pyright: ignore[reportUnknownArgumentType]
