"""Values that lie at an end of what was tried: a wider choice may do better, and a row be unfairly low."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def at_an_end(row: Mapping[str, Any]) -> dict[str, str]:
    """What a row (or a report's facts) has chosen at an end of the values tried: by name, lowest or highest.

    Speaks of numbers of which several were tried. A chosen 0 is no end: a term of weight 0 is switched off.
    """
    found: dict[str, str] = {}
    for name, value in (row.get("selected") or {}).items():
        tried = [option["values"].get(name) for option in row.get("selection") or []]
        numbers = {item for item in tried if _number(item)}
        if _number(value) and value != 0 and len(numbers) > 1 and value in (min(numbers), max(numbers)):
            found[name] = "lowest" if value == min(numbers) else "highest"
    return found


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
