"""What a report says of the shapes of its episodes, and of the classes that none has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMED = 8
"""Of the classes that were left out."""


def shapes(facts: Mapping[str, Any]) -> dict[str, str]:
    """Of episodes that differ: `2 to 5, mean 3.4`, by what is counted."""
    found: Mapping[str, Any] = facts.get("shapes") or {}
    return {
        f"{name} of an episode": f"{least} to {most}, mean {mean:g}"
        for name, (least, mean, most) in found.items()
    }


def left_out(facts: Mapping[str, Any]) -> list[str]:
    """Classes with too few rows, named."""
    found: Mapping[str, int] = facts.get("left_out") or {}
    if not found:
        return []
    named = ", ".join(f"{name} ({size})" for name, size in list(found.items())[:_NAMED])
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return [f"Classes left out, as they have too few rows: {named}{more}."]
