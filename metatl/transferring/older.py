"""Reports that the first version wrote, of photos and their classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def in_words_of_today(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """A report of photos and classes, as the first version wrote it, with the words of this one."""
    old = found["protocol"]
    if "targets" in old:
        return found
    now = {
        "targets": "classes",
        "unit_of_data": "photo",
        "score": "accuracy",
        "unit": "%",
        "better": "higher",
        "input": f"at {old['preparation']['size']} px",
        "labelled_rows": old["photos_labelled"],
        "judging_rows": old["photos_test"],
        "left_out": [f"{name} (cannot be read)" for name in old["unreadable"]],
    }
    return {**found, "protocol": {**old, **now}}
