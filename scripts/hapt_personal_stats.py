"""What hapt_personal.py reports: numbers over people, who are the independent units."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation import compare

NONE, PLAIN = "no-personalisation", "fine-tune"
PAIRS = (
    ("kl-anchor", PLAIN),
    ("kl-anchor-frozen", f"{PLAIN}-frozen"),
    ("kl-anchor-l2", PLAIN),
    ("l2-sp", PLAIN),
    ("head-only", PLAIN),
    ("fish-support", PLAIN),
    ("gtl", PLAIN),
    *(("gtl", f"gtl-{control}") for control in ("permuted", "layer-mean", "constant")),
    *((method, NONE) for method in (PLAIN, "kl-anchor", f"{PLAIN}-frozen", "moments-only")),
    ("kl-anchor", "moments-only"),
)
PUBLISHED = 2.2
"""Points that the anchor added to plain personalisation on sleep staging (Phan et al. 2020)."""
By = Mapping[int, Mapping[str, Any]]


def summaries(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of every method, over people: accuracy, worst decile, difference to no personalisation, calibration."""
    none = by_person(found[NONE])
    made: dict[str, dict[str, Any]] = {}
    for method, one in found.items():
        own = by_person(one)
        mean, half, _ = interval(own)
        to_none, to_none_half, _ = interval(own - none)
        made[method] = {"accuracy": mean, "ci95": half, "worst_decile": compare.worst_decile(own)}
        made[method] |= {"to_none": to_none, "to_none_ci95": to_none_half, "people": len(own)}
        made[method] |= {"harmed_people": int((own < none).sum()), "by_person": one.by_person()}
        made[method] |= {"selected": one.report.facts["selected"]}
        made[method] |= {"accuracy_by_net": one.report.facts.get("accuracy_by_net")}
        if one.calibration:
            made[method] |= {"ece": 100 * float(np.mean(one.calibration["ece"]))}
            made[method] |= {"nll": float(np.mean(one.calibration["nll"]))}
    return made


def contrasts(by: By, wanted: Sequence[tuple[str, str]] = PAIRS) -> list[dict[str, Any]]:
    """The wanted pairs that there are, over people, Holm-corrected within an amount of data."""
    made: list[dict[str, Any]] = []
    for shot, found in by.items():
        pairs = [pair for pair in wanted if pair[0] in found and pair[1] in found]
        tests = [interval(by_person(found[a]) - by_person(found[b])) for a, b in pairs]
        corrected = compare.holm([p for _, _, p in tests])
        for (a, b), (mean, half, _), p in zip(pairs, tests, corrected, strict=True):
            lower = int((by_person(found[a]) < by_person(found[b])).sum())
            told = {"shot": shot, "method": a, "against": b, "people": len(by_person(found[a]))}
            made.append({**told, "difference": mean, "ci95": half, "p": p, "people_lower": lower})
    return made


def anchored(long: Mapping[str, Any], behind: Sequence[int] = (10, 100)) -> list[dict[str, Any]]:
    """Anchored minus plain behind as many steps at one rate, over people, Holm-corrected over a column."""
    made: list[dict[str, Any]] = []
    for measure, step in itertools.product(("accuracy", "ece"), behind):
        pairs = {
            (kind, alpha): 100 * np.subtract(run[step][measure], by_alpha[0.0][step][measure])
            for kind, by_alpha in long.items()
            for alpha, run in by_alpha.items()
            if alpha
        }
        tests = [interval(found) for found in pairs.values()]
        corrected = compare.holm([p for _, _, p in tests])
        for ((kind, alpha), found), (mean, half, _), p in zip(pairs.items(), tests, corrected, strict=True):
            told = {"kind": kind, "alpha": alpha, "steps": step, "measure": measure, "people": len(found)}
            made.append({**told, "difference": mean, "ci95": half, "p": p})
    return made


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean, half of its 95 % interval by Student's t with n - 1 degrees, two-sided p of mean 0."""
    test = compare.paired(values, np.zeros(len(values)))
    low, high = 1.96, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if compare.t_two_sided(middle, len(values) - 1) > 0.05 else (low, middle)
    return test.mean, test.ci95 / 1.96 * low, test.p


def by_person(found: Any) -> NDArray[np.float64]:
    """Percent."""
    return 100 * np.array([*found.by_person().values()])


def means(long: Mapping[str, Any]) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Kind of run, alpha, step: means over people."""
    return {
        kind: {
            str(alpha): {
                str(step): {name: float(np.mean(values)) for name, values in of.items()}
                for step, of in run.items()
            }
            for alpha, run in by_alpha.items()
        }
        for kind, by_alpha in long.items()
    }
