"""Paired statistics over reports of the same episodes: differences, corrected p-values, harm."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from metatl.types import MetatlError

Scores = NDArray[np.float64]
Row = dict[str, Any]

SAME = ("data", "split", "way", "shot", "query", "seed", "episodes", "episodes_hash", "score")
"""What two reports must share to be compared; every other entry of a protocol belongs to the method."""
INTERVAL = "95 % interval, 1.96 sd / sqrt(episodes), sd with n - 1"


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


@dataclass(frozen=True)
class Difference:
    """Mean of a - b over the same n episodes, half-width of its 95 % interval, two-sided p of mean 0."""

    mean: float
    ci95: float
    p: float
    n: int


def paired(a: NDArray[Any], b: NDArray[Any]) -> Difference:
    """Paired t-test of a - b: t = mean / (sd / sqrt(n)), n - 1 degrees; p = 1 if every difference is 0.

    a, b [episodes], in one order. Raises MetatlError where lengths differ, n < 2, or a score is not finite.
    """
    if len(a) != len(b):
        raise MetatlError(f"not the same episodes: {len(a)} and {len(b)} scores cannot be paired")
    d = _checked("the first", a) - _checked("the second", b)
    mean, error = float(d.mean()), float(d.std(ddof=1)) / math.sqrt(len(d))
    if error == 0.0:  # every episode moved by exactly the same amount, so there is no noise to test against
        return Difference(mean, 0.0, 1.0 if mean == 0.0 else 0.0, len(d))
    return Difference(mean, 1.96 * error, t_two_sided(mean / error, len(d) - 1), len(d))


def t_two_sided(t: float, degrees: float) -> float:
    """P(|T| >= |t|) of Student's t with v degrees: the incomplete beta I_x(v/2, 1/2), x = v / (v + t^2)."""
    square = t * t
    if math.isinf(square):
        return 0.0
    x, rest = degrees / (degrees + square), square / (degrees + square)
    a, b = degrees / 2, 0.5
    log_x = -math.log1p(square / degrees)  # not log(x): x is close to 1 for many episodes
    log_rest = math.log(rest) if rest > 0 else -math.inf
    log_front = a * log_x + b * log_rest + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    if x < (a + 1) / (a + b + 2):
        return min(1.0, math.exp(log_front) * _beta_fraction(a, b, x) / a)
    return max(0.0, 1.0 - math.exp(log_front) * _beta_fraction(b, a, rest) / b)


def _beta_fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (DLMF 8.17.22)."""
    tiny, c = 1e-300, 1.0
    d = 1 / (1 - (a + b) * x / (a + 1) or tiny)
    value = d
    for m in range(1, 100_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d or tiny), 1 + term / c or tiny
            value *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return value


def holm(ps: Sequence[float]) -> list[float]:
    """Step-down correction: i-th smallest of m p-values times m - i + 1, monotone, at most 1 (Holm 1979)."""
    if not all(0.0 <= p <= 1.0 for p in ps):
        raise MetatlError(f"p-values must lie in [0, 1], got {list(ps)}")
    corrected, floor = [0.0] * len(ps), 0.0
    for rank, index in enumerate(sorted(range(len(ps)), key=lambda i: ps[i])):
        floor = max(floor, min(1.0, (len(ps) - rank) * ps[index]))
        corrected[index] = floor
    return corrected


def harmed(scores: NDArray[Any], reference: NDArray[Any], score: str = "accuracy") -> float:
    """Share in [0, 1] of episodes strictly worse than the reference on the same episode; ties are no harm."""
    if len(scores) != len(reference):
        raise MetatlError(f"not the same episodes: {len(scores)} and {len(reference)} scores")
    return float((_better(score) * (scores - reference) < 0).mean())


def worst_decile(scores: NDArray[Any], score: str = "accuracy") -> float:
    """Mean of the worst tenth of the episodes (rounded up): lowest accuracies, or largest losses."""
    worst_first = np.sort(_better(score) * scores)
    return float(_better(score) * worst_first[: math.ceil(len(scores) / 10)].mean())


def _better(score: str) -> int:
    """+1 where more is better, -1 where less is."""
    return -1 if score == "loss" else 1


def protocol(reports: Sequence[Scored], reference: str, no_transfer: str | None) -> dict[str, Any]:
    """What all reports share, and what the rows were compared with. Raises MetatlError as `rows` does."""
    first = _same_episodes(reports)
    by_name = _by_name(reports, reference, no_transfer)
    shared = {key: plain(first[key]) for key in SAME if key in first}
    against = no_transfer or reference
    said = {"reference": reference, "no_transfer": no_transfer, "harmed_against": against}
    return {**shared, **said, "methods": len(by_name), "interval": INTERVAL, "p": "paired t-test, Holm"}


def rows(reports: Sequence[Scored], reference: str, no_transfer: str | None = None) -> list[Row]:
    """One JSON-ready dict a method, in the order given; accuracies in percent, losses in their own unit.

    difference: to `reference` on the same episodes, p Holm-corrected over all methods but the reference;
    harmed: percent of episodes worse than `no_transfer` (else than the reference).
    Raises MetatlError for reports of other episodes, repeated or missing methods, scores that are not finite.
    """
    shared = protocol(reports, reference, no_transfer)
    by_name = _by_name(reports, reference, no_transfer)
    base, floor = by_name[reference].scores, by_name[shared["harmed_against"]].scores
    tests = {name: paired(report.scores, base) for name, report in by_name.items()}
    others = [name for name in by_name if name != reference]
    corrected = dict(zip(others, holm([tests[name].p for name in others]), strict=True))
    return [_row(r, tests[r.method], corrected.get(r.method, 1.0), floor) for r in reports]


def _row(report: Scored, test: Difference, p: float, floor: NDArray[Any]) -> Row:
    scores, score = _checked(report.method, report.scores), report.protocol.get("score", "accuracy")
    unit = _unit(report)
    row: Row = {
        "method": report.method,
        "transductive": bool(report.protocol.get("transductive", False)),
        score: unit * float(scores.mean()),
        "ci95": unit * 1.96 * float(scores.std(ddof=1)) / math.sqrt(len(scores)),
        "episodes": len(scores),
        "difference": unit * test.mean,
        "difference_ci95": unit * test.ci95,
        "p": p,
        "harmed": 100 * harmed(scores, floor, score),
        "worst_decile": unit * worst_decile(scores, score),
    }
    told = {k: v for k, v in report.protocol.items() if k not in SAME}
    for key, value in {**report.facts, **told}.items():
        row.setdefault(key, plain(value))
    return row


def differences(reports: Sequence[Scored]) -> list[Row]:
    """Every report against the first, on the same episodes: difference, Holm-corrected p, percent harmed."""
    _same_episodes(reports)
    first, others = reports[0], reports[1:]
    tests = [paired(report.scores, first.scores) for report in others]
    corrected = holm([test.p for test in tests])
    return [
        {
            "method": report.method,
            "against": first.method,
            "difference": _unit(first) * test.mean,
            "difference_ci95": _unit(first) * test.ci95,
            "p": p,
            "harmed": 100 * harmed(report.scores, first.scores, first.protocol.get("score", "accuracy")),
            "episodes": test.n,
        }
        for report, test, p in zip(others, tests, corrected, strict=True)
    ]


def _unit(report: Scored) -> int:
    """Accuracies are told in percent, losses as they are."""
    return 1 if report.protocol.get("score", "accuracy") == "loss" else 100


def _checked(name: str, scores: NDArray[Any]) -> Scores:
    values = np.asarray(scores, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2:
        raise MetatlError(f"{name}: scores of shape {values.shape}; a comparison needs two episodes or more")
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise MetatlError(
            f"{name}: {len(bad)} of {len(values)} scores are not finite (first: episode {bad[0]}); "
            "find out why that task diverged, or evaluate with a smaller rate"
        )
    return values


def _same_episodes(reports: Sequence[Scored]) -> dict[str, Any]:
    if not reports:
        raise MetatlError("no reports to compare; name at least one finished run")
    first = reports[0]
    for report in reports:
        low, high = np.quantile(_checked(report.method, report.scores), [0, 1])
        if _unit(report) == 100 and not 0 <= low <= high <= 1:
            raise MetatlError(f"{report.method}: accuracies must lie in [0, 1], got {low} to {high}")
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
