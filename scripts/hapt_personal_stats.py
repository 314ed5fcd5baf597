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
        mean, to_none = compare.estimate(own), compare.paired(own, none)
        made[method] = {"accuracy": mean.mean, "ci95": mean.ci95, "worst_decile": compare.worst_decile(own)}
        made[method] |= {"to_none": to_none.mean, "to_none_ci95": to_none.ci95, "people": len(own)}
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
        tests = [compare.paired(by_person(found[a]), by_person(found[b])) for a, b in pairs]
        corrected = compare.holm([test.p for test in tests])
        for (a, b), test, p in zip(pairs, tests, corrected, strict=True):
            lower = int((by_person(found[a]) < by_person(found[b])).sum())
            told = {"shot": shot, "method": a, "against": b, "people": len(by_person(found[a]))}
            told |= {"difference": test.mean, "ci95": test.ci95, "p": p, "people_lower": lower}
            made.append(told)
    return made


def anchored(long: Mapping[str, Any], after: Sequence[int] = (10, 100)) -> list[dict[str, Any]]:
    """Anchored minus plain after as many steps at one rate, over people, Holm-corrected over a column."""
    made: list[dict[str, Any]] = []
    for measure, step in itertools.product(("accuracy", "ece"), after):
        pairs = {
            (kind, alpha): (100 * np.array(run[step][measure]), 100 * np.array(by_alpha[0.0][step][measure]))
            for kind, by_alpha in long.items()
            for alpha, run in by_alpha.items()
            if alpha
        }
        tests = [compare.paired(*both) for both in pairs.values()]
        corrected = compare.holm([test.p for test in tests])
        for (kind, alpha), test, p in zip(pairs, tests, corrected, strict=True):
            told = {"kind": kind, "alpha": alpha, "steps": step, "measure": measure, "people": test.n}
            made.append({**told, "difference": test.mean, "ci95": test.ci95, "p": p})
    return made


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
