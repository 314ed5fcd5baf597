"""Studies in pieces: every cell (a row on a draw) is a file, written as soon as it is done."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from metatl.evaluation.statistics import Estimate, estimate
from metatl.lab import store


@dataclass
class Pieces:
    """The cells of a study; said: what all of them depend on, so that others are done again.

    minutes: for this command; what they do not reach, the same command goes on with.
    """

    folder: Path
    said: str
    minutes: float
    held: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict[tuple[str, int], dict[str, Any]])

    def fill(self, rows: Sequence[str], seeds: int, make: Callable[[str, int], Mapping[str, Any]]) -> int:
        """Every row on every draw, draw by draw; the number of cells that are missing."""
        store.make_folder(self.folder)
        begun = time.monotonic()
        for seed in range(seeds):
            for row in rows:
                file = self.folder / f"{row.replace(' ', '-')}~{seed}.json"
                kept = dict(store.read_json(file)) if file.is_file() else {}
                if kept.get("said") != self.said:
                    if time.monotonic() - begun > 60 * self.minutes:
                        continue
                    print(f"{row}, draw {seed + 1} of {seeds}", flush=True)
                    started = time.monotonic()
                    made = dict(make(row, seed))
                    kept = {"said": self.said, "seconds": time.monotonic() - started, **made}
                    store.write_text(file, json.dumps(kept) + "\n")
                self.held[row, seed] = kept
        return len(rows) * seeds - len(self.held)

    def draws(self, row: str, other: str | None = None) -> list[int]:
        """The draws that are done of a row, and of another."""
        own = {seed for name, seed in self.held if name == row}
        return sorted(own if other is None else own & {seed for name, seed in self.held if name == other})

    def values(self, row: str, key: str, seeds: Sequence[int]) -> np.ndarray:
        """[draws, ...] of a key."""
        return np.array([self.held[row, seed][key] for seed in seeds], dtype=np.float64)

    def seconds(self, row: str) -> float:
        """Mean of a draw."""
        return float(np.mean([self.held[row, seed]["seconds"] for seed in self.draws(row)]))


def told(values: Any, form: str = "+.2f") -> str:
    """`+1.20 [0.90, 1.50]`: the mean of some values with its 95 % interval, which needs three of them."""
    made: Estimate = estimate(values)
    if made.ci95 is None or made.n < 3:
        return f"{made.mean:{form}}"
    return f"{made.mean:{form}} [{made.mean - made.ci95:{form}}, {made.mean + made.ci95:{form}}]"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
