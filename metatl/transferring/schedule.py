"""How long a row that moves the body is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BodySchedule:
    """How much a row that moves the body trains: rows seen = passes * n, within bounds.

    Args:
        passes: over the labelled rows.
        most: rows seen at most, unless that is fewer than `least` passes.
        least: passes at least.
        batch: rows of a step.
    """

    passes: int = 20
    most: int = 240
    least: int = 2
    batch: int = 16

    def seen(self, rows: int) -> int:
        """Rows that pass forward and back with this many labelled rows."""
        return max(min(self.passes * rows, self.most), self.least * rows)

    def steps(self, rows: int) -> int:
        """Steps for this many labelled rows."""
        return -(-self.seen(rows) // min(self.batch, rows))
