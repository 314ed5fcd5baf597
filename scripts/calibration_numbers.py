"""What calibration.py computes of answers: log loss, calibration error, error where a person answers some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation import compare

Array = NDArray[np.float64]
BINS, RESAMPLED = 15, 500
LEFT = np.linspace(0.0, 0.9, 91)
"""Shares of the rows that are left to a person."""
SHOWN = 0.2
PAIRS = (
    *((row, "fine-tune") for row in ("protonet", "maml", "proto-maml", "gtl", "bayes", "dkt")),
    *((row, "protonet") for row in ("bayes", "dkt", "proto-maml")),
    *(("laplace", "fine-tune"), ("laplace-gtl", "gtl"), ("laplace-maml", "maml")),
    *(("ensemble", "fine-tune"), ("dkt", "dkt-published")),
    *((f"{row}-of-nets", row) for row in ("fine-tune", "maml", "protonet")),
)
"""Each row, and what it is held against."""


@dataclass(frozen=True)
class Answers:
    """Log-probabilities [episodes, rows, k], labels [episodes, rows], unit [episodes], the temperature.

    unit: what is independent: the episode itself, or the person whose it is. An episode whose outputs are
    not finite answers every class alike.
    """

    log_p: Array
    y: NDArray[np.int64]
    unit: NDArray[np.int64]
    temperature: float

    def __post_init__(self) -> None:
        """Episodes that diverged."""
        lost = np.asarray(~np.isfinite(self.log_p).all((1, 2)))
        if lost.any():
            even = np.where(lost[:, None, None], -np.log(self.log_p.shape[-1]), self.log_p)
            object.__setattr__(self, "log_p", even)

    def rows(self, tempered: bool) -> Rows:
        """Of every row [n]: its unit, log loss, the probability of the class named, whether it is right."""
        log_p = self.log_p / (self.temperature if tempered else 1.0)
        log_p = (log_p - np.logaddexp.reduce(log_p, -1, keepdims=True)).reshape(-1, log_p.shape[-1])
        y, place = self.y.reshape(-1), np.arange(self.y.size)
        named = log_p.argmax(-1)
        own = np.repeat(self.unit, self.y.shape[1])
        return Rows(own, -log_p[place, y], np.exp(log_p[place, named]), (named == y).astype(np.float64))


class Rows(NamedTuple):
    """What is asked of rows, each [n]."""

    unit: NDArray[np.int64]
    loss: Array
    sure: Array
    right: Array


@dataclass(frozen=True)
class Joined:
    """A net's answers over all parts, as they are and at each part's temperature."""

    plain: Rows
    tempered: Rows
    temperatures: tuple[float, ...]


def joined(parts: Sequence[Answers]) -> Joined:
    """Parts (folds) judge other units."""
    both = [
        Rows(*(np.concatenate(of) for of in zip(*(part.rows(tempered) for part in parts), strict=True)))
        for tempered in (False, True)
    ]
    return Joined(both[0], both[1], tuple(part.temperature for part in parts))


def by_unit(values: Array, unit: NDArray[np.int64]) -> Array:
    """Means [units] of values [n], by the units' numbers."""
    place = np.unique(unit, return_inverse=True)[1]
    return np.bincount(place, values) / np.bincount(place)


def ece(rows: Rows, weight: Array | None = None) -> float:
    """sum over 15 bins |sum of (right - sure)| / n, units by weight [units] (1 for None)."""
    place = np.unique(rows.unit, return_inverse=True)[1]
    own = np.ones(len(place)) if weight is None else weight[place]
    at = np.clip(np.ceil(rows.sure * BINS).astype(np.int64) - 1, 0, BINS - 1)
    return float(np.abs(np.bincount(at, own * (rows.right - rows.sure), BINS)).sum() / own.sum())


def risk(rows: Rows, weight: Array | None = None) -> Array:
    """Error [91] of the rows that are answered where a share LEFT of them, the least sure, is left out."""
    place = np.unique(rows.unit, return_inverse=True)[1]
    order = np.argsort(-rows.sure, kind="stable")
    own = (np.ones(len(place)) if weight is None else weight[place])[order]
    many, wrong = np.cumsum(own), np.cumsum(own * (1 - rows.right[order]))
    at = np.clip(np.searchsorted(many, (1 - LEFT) * many[-1] - 1e-9), 0, len(many) - 1)
    return wrong[at] / many[at].clip(1e-12)


def numbers(nets: Sequence[Joined]) -> dict[str, Any]:
    """Of a row: means over nets; intervals over units, by Student's t or (ece, risk) by 500 resamples."""
    units = len(np.unique(nets[0].plain.unit))
    drawn = np.random.default_rng(0).multinomial(units, np.full(units, 1 / units), RESAMPLED).astype(float)

    def spread(of: Any) -> list[float]:
        values = [float(np.mean([of(net, weight) for net in nets])) for weight in drawn]
        return [float(end) for end in np.quantile(values, (0.025, 0.975))]

    found: dict[str, Any] = {"units": units, "temperatures": [t for net in nets for t in net.temperatures]}
    accuracy = compare.estimate(mean_of(nets, "right")).times(100)
    found |= {"accuracy": accuracy.mean, "accuracy_ci95": accuracy.ci95}
    for name, kind in (("", "plain"), ("_tempered", "tempered")):
        loss = compare.estimate(mean_of(nets, "loss", kind))
        found |= {f"nll{name}": loss.mean, f"nll{name}_ci95": loss.ci95}
        found[f"ece{name}"] = 100 * float(np.mean([ece(getattr(net, kind)) for net in nets]))
        ends = spread(lambda net, weight, kind=kind: ece(getattr(net, kind), weight))
        found[f"ece{name}_ci95"] = [100 * end for end in ends]
    curve = np.mean([risk(net.tempered) for net in nets], 0)
    at = int(np.argmin(np.abs(LEFT - SHOWN)))
    found |= {"error_left": (100 * curve).tolist(), "left": LEFT.tolist(), "error_20": 100 * float(curve[at])}
    found["error_20_ci95"] = [100 * e for e in spread(lambda net, w: risk(net.tempered, w)[at])]
    return found


def mean_of(nets: Sequence[Joined], what: str, kind: str = "tempered") -> Array:
    """[units]: mean over a unit's rows and over nets."""
    rows = [getattr(net, kind) for net in nets]
    return np.mean([by_unit(getattr(one, what), one.unit) for one in rows], 0)


def contrasts(found: Mapping[str, Sequence[Joined]]) -> list[dict[str, Any]]:
    """Log loss at the temperature, paired over units; p Holm-corrected over all pairs of a setting."""
    pairs = [(a, b) for a, b in PAIRS if a in found and b in found]
    tests = [compare.paired(mean_of(found[a], "loss"), mean_of(found[b], "loss")) for a, b in pairs]
    corrected = compare.holm([test.p for test in tests])
    return [
        {"row": a, "against": b, "difference": test.mean, "ci95": test.ci95, "p": p}
        for (a, b), test, p in zip(pairs, tests, corrected, strict=True)
    ]
