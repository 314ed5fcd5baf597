"""The rows of omniglot_maml.py, kept beside the table so that a later run, on another machine, adds to them.

rows.json says how each was learned and evaluated, episodes.npz holds every episode's score. A row that was
learned here replaces the kept one of the same seed, and all seeds of it if the schedule is another.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from omniglot_maml_published import SETTINGS

from metatl.evaluation.evaluate import Report
from metatl.lab import store

MODES = ("transductive", "transductive, 15 queries", "inductive")


@dataclass(frozen=True)
class Row:
    """A config under one evaluation: a report for every training seed, and what it was trained for."""

    method: str
    setting: str
    mode: str
    reports: Mapping[int, Report]
    iterations: int
    meta_batch: int

    @property
    def key(self) -> tuple[int, str, int]:
        """Where the row stands: by setting, method, evaluation."""
        return SETTINGS.index(self.setting), self.method, MODES.index(self.mode)

    @property
    def schedule(self) -> tuple[int, int]:
        """Iterations, and tasks in each."""
        return self.iterations, self.meta_batch


def joined(kept: Sequence[Row], found: Sequence[Row]) -> list[Row]:
    """Both, in order; what was found here counts where both have a seed or the schedules differ."""
    rows = {row.key: row for row in kept}
    for row in found:
        other = rows.get(row.key)
        before = other.reports if other is not None and other.schedule == row.schedule else {}
        reports = dict(sorted({**before, **row.reports}.items()))
        rows[row.key] = Row(row.method, row.setting, row.mode, reports, *row.schedule)
    return [rows[key] for key in sorted(rows)]


def holds(rows: Sequence[Row], name: str, seed: int, schedule: tuple[int, int]) -> bool:
    """Whether a config `<method>_<way>w<shot>s` is there under every evaluation, learned by this schedule."""
    method, _, setting = name.partition("_")
    own = [row for row in rows if (row.method, row.setting) == (method, setting)]
    found = {row.mode for row in own if row.schedule == schedule and seed in row.reports}
    return found == {*MODES}


def keep(out: Path, rows: Sequence[Row]) -> None:
    """Write rows.json and episodes.npz."""
    told, scores = list[dict[str, Any]](), dict[str, NDArray[Any]]()
    for row in rows:
        for seed, report in row.reports.items():
            own = {"method": row.method, "setting": row.setting, "mode": row.mode, "seed": seed}
            own |= {"iterations": row.iterations, "meta_batch": row.meta_batch}
            told.append({**own, "name": report.method, "protocol": report.protocol, "facts": report.facts})
            scores[_name(own)] = _small(report.scores)
    held = io.BytesIO()
    np.savez_compressed(held, allow_pickle=False, **scores)
    store.write_atomic(out / "episodes.npz", held.getvalue())
    store.write_json(out / "rows.json", {"rows": told})


def load(out: Path) -> list[Row]:
    """What `keep` wrote; nothing where nothing lies there."""
    if not (out / "rows.json").is_file():
        return []
    rows = list[Row]()
    with np.load(out / "episodes.npz", allow_pickle=False) as scores:
        for own in store.read_json(out / "rows.json")["rows"]:
            found = scores[_name(own)].astype(np.float64)
            report = Report(own["name"], found, own["protocol"], own["facts"])
            place = (own["method"], own["setting"], own["mode"])
            rows = joined(rows, [Row(*place, {own["seed"]: report}, own["iterations"], own["meta_batch"])])
    return rows


def _name(own: Mapping[str, Any]) -> str:
    return f"{own['method']}_{own['setting']} {own['mode']} s{own['seed']}"


def _small(scores: NDArray[np.float64]) -> NDArray[Any]:
    """As float32 where that is exact, as it is for what was scored in float32."""
    small = scores.astype(np.float32)
    return small if np.array_equal(small, scores) else scores
