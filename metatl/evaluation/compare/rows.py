"""Reports of the same episodes, side by side: one row a method."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.scores import of_protocol
from metatl.evaluation.statistics import (
    INTERVAL,
    Estimate,
    checked,
    estimate,
    harmed,
    holm,
    paired,
    worst_decile,
)
from metatl.types import MetatlError

Row = dict[str, Any]

SAME = ("data", "split", "way", "shot", "query", "seed", "episodes", "episodes_hash", "score")
"""What two reports must share to be compared; every other entry of a protocol belongs to the method."""


class Scored(Protocol):
    """What compare reads of a report: one score an episode, in episode order, and how it was made."""

    @property
    def method(self) -> str:
        """Name of the row."""
        ...

    @property
    def scores(self) -> NDArray[Any]:
        """[episodes], in episode order."""
        ...

    @property
    def protocol(self) -> dict[str, Any]:
        """How it was evaluated."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What it cost and what was tuned."""
        ...


def protocol(reports: Sequence[Scored], reference: str, no_transfer: str | None) -> dict[str, Any]:
    """What all reports share, and what the rows were compared with. Raises MetatlError as `rows` does."""
    first = _same_episodes(reports)
    by_name = _by_name(reports, reference, no_transfer)
    shared = {key: plain(first[key]) for key in SAME if key in first}
    against = no_transfer or reference
    said = {"reference": reference, "no_transfer": no_transfer, "harmed_against": against}
    interval = INTERVAL.format(unit="episodes")
    return {**shared, **said, "methods": len(by_name), "interval": interval, "p": "paired t-test, Holm"}


def rows(reports: Sequence[Scored], reference: str, no_transfer: str | None = None) -> list[Row]:
    """One JSON-ready dict a method, in the order given; scores in their unit (`Score.unit`), percent say.

    difference: to `reference` on the same episodes, p Holm-corrected over all methods but the reference;
    difference_ci95 and p are None where no difference varies; diverged: number of episodes whose predictions
    were not finite, which count as wrong (None in older reports); harmed: percent of episodes worse than
    `no_transfer` (else than the reference).
    Raises MetatlError for reports of other episodes, repeated or missing methods, scores that are not finite.
    """
    shared = protocol(reports, reference, no_transfer)
    by_name = _by_name(reports, reference, no_transfer)
    return _rows(reports, by_name[reference], by_name[shared["harmed_against"]])


def differences(reports: Sequence[Scored]) -> list[Row]:
    """Rows of all reports, paired with the first; two reports (seeds, say) may be of one method.

    Raises MetatlError for reports of other episodes.
    """
    _same_episodes(reports)
    return _rows(reports, reports[0], reports[0])


def _rows(reports: Sequence[Scored], base: Scored, floor: Scored) -> list[Row]:
    tests = [paired(report.scores, base.scores) for report in reports]
    others = [index for index, report in enumerate(reports) if report is not base]
    corrected = dict(zip(others, holm([tests[index].p for index in others]), strict=True))
    return [
        _row(report, tests[index], corrected.get(index), floor.scores) for index, report in enumerate(reports)
    ]


def _row(report: Scored, test: Estimate, p: float | None, floor: NDArray[Any]) -> Row:
    scores, score = checked(report.method, report.scores), of_protocol(report.protocol)
    lost = report.facts.get("diverged")
    own, test = estimate(scores).times(score.factor), test.times(score.factor)
    row: Row = {
        "method": report.method,
        "transductive": bool(report.protocol.get("transductive", False)),
        score.name: own.mean,
        "ci95": own.ci95,
        "episodes": len(scores),
        "diverged": None if lost is None else len(lost),
        "difference": test.mean,
        "difference_ci95": test.ci95,
        "p": p,
        "harmed": 100 * harmed(scores, floor, score.name),
        "worst_decile": score.factor * worst_decile(scores, score.name),
    }
    told = {k: v for k, v in report.protocol.items() if k not in SAME}
    for key, value in {**report.facts, **told}.items():
        row.setdefault(key, plain(value))
    return row


def _same_episodes(reports: Sequence[Scored]) -> dict[str, Any]:
    if not reports:
        raise MetatlError("no reports to compare; name at least one finished run")
    first = reports[0]
    for report in reports:
        low, high = np.quantile(checked(report.method, report.scores), [0, 1])
        score = of_protocol(report.protocol)
        if score.unit == "%" and not 0 <= low <= high <= 1:
            raise MetatlError(f"{report.method}: {score.name} must lie in [0, 1], got {low} to {high}")
        for key, mine in _episodes(report).items():
            theirs = _episodes(first)[key]
            if mine != theirs:
                raise MetatlError(
                    f"not the same episodes: {key} is {mine} for {report.method} and {theirs} for "
                    f"{first.method}; evaluate both under one protocol"
                )
    return first.protocol


def _episodes(report: Scored) -> dict[str, Any]:
    return {"scores": len(report.scores)} | {key: report.protocol.get(key) for key in SAME}


def _by_name(reports: Sequence[Scored], *needed: str | None) -> dict[str, Scored]:
    by_name = {report.method: report for report in reports}
    if len(by_name) < len(reports):
        names = [report.method for report in reports]
        twice = max(names, key=names.count)
        raise MetatlError(f"two reports are called {twice}; give each method its own name")
    for name in needed:
        if name is not None and name not in by_name:
            raise MetatlError(f"no report of {name} to compare with; there are: {', '.join(by_name)}")
    return by_name


def plain(value: Any) -> Any:
    """The value as JSON holds it: arrays and tensors as numbers, what is not finite as None, else text."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in cast("Sequence[Any]", value)]
    to_list = cast("Callable[[], Any] | None", getattr(value, "tolist", None))
    if to_list is not None:
        return plain(to_list())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
