"""How hapt_personal.py writes what it found: table.md, report.json, plot.png and steps.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hapt_personal_plot
import numpy as np
from numpy.typing import NDArray

from metatl import compare, render, store
from metatl.render.tables import p_value

NONE, PLAIN = "no-personalisation", "fine-tune"
PAIRS = (
    ("kl-anchor", PLAIN),
    ("kl-anchor-l2", PLAIN),
    ("l2-sp", PLAIN),
    ("head-only", PLAIN),
    ("fish-support", PLAIN),
    ("gtl", PLAIN),
    *(("gtl", f"gtl-{control}") for control in ("permuted", "layer-mean", "constant")),
    *((method, NONE) for method in (PLAIN, "kl-anchor", "moments-only")),
)
ABOUT = (
    "One net (1-D convolutions, 12k weights) learns from 16 people of HAPT and is adapted to each of the 9 "
    "official test people with 1, 2, 5 or 10 labelled windows per activity of one of the person's two "
    "recordings; it is scored on 15 windows per activity of the other. Ten draws a person, the same for "
    "every method; each method chose among 8 values on 5 further people (the rows at 0 steps had nothing to "
    "choose). People, not draws, are the independent units: except where a table says episodes, a person's "
    "draws are averaged first, intervals and tests are over people (paired t, {degrees} degrees of freedom "
    "for 9), and p is Holm-corrected over a column. One net was trained for each set of people, so the "
    "spread between trainings is only in the table in which everybody is left out once (6 nets)."
)
CLAIM = (
    "Published on sleep staging (Phan et al. 2020, 75 people, a night each): the anchor adds 2.2 points over "
    "plain personalisation, 4.5 over none, and prevents over-fitting. Cells: difference in points, mean over "
    "people ± half of its 95 % interval, and p."
)
CHOICE = "alpha 0 is plain fine-tuning, so a chosen 0 is the anchor switched off by the meta-val people."
ACCURACY = "Accuracy in %, mean over people ± half of its 95 % interval."
HARM = "Difference to no personalisation in points, and how many people's mean fell below it."
ECE = "Expected calibration error in points (15 bins of confidence, by person), mean over people."
STEPS = (
    "Plain and anchored personalisation for 100 steps of Adam at rate 0.003, chosen on nothing: accuracy in "
    "% / expected calibration error in points / negative log-likelihood, behind so many steps. Over-fitting "
    "would show as values that get worse with steps."
)
By = Mapping[int, Mapping[str, Any]]


def write(out: Path, official: By, everybody: By, long: By) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, and two plots."""
    tests, all_tests = contrasts(official), contrasts(everybody)
    summary = {shot: summaries(found) for shot, found in official.items()}
    outside = {shot: summaries(found) for shot, found in everybody.items()}
    count = len(next(iter(everybody.values()))[NONE].by_person())
    about = ABOUT.format(degrees=8)
    methods = sorted(summary[5], key=lambda method: -summary[5][method]["accuracy"])
    parts = ["# KL-anchored personalisation on HAPT", about, "## Does it help?", CLAIM, _tests(tests)]
    parts += [f"Everybody of the {count} people left out once (6 nets, paired t over {count}):"]
    parts += [_tests(all_tests), "## Accuracy by amount of labelled data", ACCURACY]
    parts += [_table(summary, methods, _accuracy), "## Who was harmed", HARM, _table(summary, methods, _harm)]
    parts += ["## Calibration", ECE, _table(summary, methods, lambda one: f"{one['ece']:.2f}")]
    parts += [f"## All {count} people, each left out once", ACCURACY]
    parts += [_table(outside, [m for m in methods if m in outside[5]], _accuracy)]
    parts += [HARM, _table(outside, [m for m in methods if m in outside[5]], _harm)]
    parts += ["## Over-fitting", STEPS, _steps(long), "## By episodes", CHOICE]
    by_shot: dict[str, Any] = {}
    for shot, found in official.items():
        reports = sorted((one.report for one in found.values()), key=lambda report: -report.mean)
        rows, protocol = compare.rows(reports, PLAIN, NONE), compare.protocol(reports, PLAIN, NONE)
        by_shot[str(shot)] = {"protocol": protocol, "rows": rows}
        title = f"### {shot} labelled windows per activity"
        parts += [title, render.markdown(rows, protocol).strip()]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    found = {"about": about, **by_shot["5"], "by_shot": by_shot, "people": summary, "contrasts": tests}
    told = {"left_out_once": outside, "left_out_contrasts": all_tests, "steps": _means(long)}
    store.write_json(out / "report.json", compare.plain({**found, **told}))
    store.write_atomic(out / "plot.png", render.png(hapt_personal_plot.curves(summary, tests)))
    store.write_atomic(out / "steps.png", render.png(hapt_personal_plot.steps(_means(long), summary)))


def summaries(found: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Of every method, over people: accuracy, difference to no personalisation, harm, calibration."""
    none = _people(found[NONE])
    made: dict[str, dict[str, Any]] = {}
    for method, one in found.items():
        own = _people(one)
        mean, half, _ = interval(own)
        to_none, to_none_half, _ = interval(own - none)
        made[method] = {"accuracy": mean, "ci95": half, "worst_person": float(own.min())}
        made[method] |= {"to_none": to_none, "to_none_ci95": to_none_half, "people": len(own)}
        made[method] |= {"harmed_people": int((own < none).sum()), "by_person": one.by_person()}
        made[method] |= {"selected": one.report.facts["selected"]}
        if one.calibration:
            made[method] |= {"ece": 100 * float(np.mean(one.calibration["ece"]))}
            made[method] |= {"nll": float(np.mean(one.calibration["nll"]))}
    return made


def contrasts(by: By) -> list[dict[str, Any]]:
    """The pairs that there are, over people, Holm-corrected within an amount of data."""
    made: list[dict[str, Any]] = []
    for shot, found in by.items():
        pairs = [pair for pair in PAIRS if pair[0] in found and pair[1] in found]
        tests = [interval(_people(found[a]) - _people(found[b])) for a, b in pairs]
        corrected = compare.holm([p for _, _, p in tests])
        for (a, b), (mean, half, _), p in zip(pairs, tests, corrected, strict=True):
            lower = int((_people(found[a]) < _people(found[b])).sum())
            told = {"shot": shot, "method": a, "against": b, "people": len(_people(found[a]))}
            made.append({**told, "difference": mean, "ci95": half, "p": p, "people_lower": lower})
    return made


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean, half of its 95 % interval by Student's t with n - 1 degrees, two-sided p of mean 0."""
    test = compare.paired(values, np.zeros(len(values)))
    low, high = 1.96, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if compare.t_two_sided(middle, len(values) - 1) > 0.05 else (low, middle)
    return test.mean, test.ci95 / 1.96 * low, test.p


def _people(found: Any) -> NDArray[np.float64]:
    return 100 * np.array([*found.by_person().values()])


def _means(long: By) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    """Shot, alpha, step: means over people."""
    return {
        str(shot): {
            str(alpha): {
                str(step): {name: float(np.mean(values)) for name, values in of.items()}
                for step, of in run.items()
            }
            for alpha, run in by_alpha.items()
        }
        for shot, by_alpha in long.items()
    }


def _grid(head: Sequence[str], body: Sequence[Sequence[str]], words: int) -> str:
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])


def _table(summary: By, methods: Sequence[str], cell: Any) -> str:
    head = ["method", *(f"{shot} window{'s' * (shot > 1)}" for shot in summary)]
    return _grid(head, [[m, *(cell(summary[shot][m]) for shot in summary)] for m in methods], 1)


def _accuracy(one: Mapping[str, Any]) -> str:
    return f"{one['accuracy']:.2f} ± {one['ci95']:.2f}"


def _harm(one: Mapping[str, Any]) -> str:
    return f"{one['to_none']:+.2f} ± {one['to_none_ci95']:.2f}; {one['harmed_people']} of {one['people']}"


def _tests(tests: Sequence[Mapping[str, Any]]) -> str:
    shots = sorted({test["shot"] for test in tests})
    cells: dict[tuple[str, str], list[str]] = {}
    for test in tests:
        said = f"{test['difference']:+.2f} ± {test['ci95']:.2f}, p {p_value(test['p'])}"
        cells.setdefault((test["method"], test["against"]), []).append(said)
    head = ["method", "against", *(f"{shot} window{'s' * (shot > 1)}" for shot in shots)]
    return _grid(head, [[*pair, *said] for pair, said in cells.items()], 2)


def _steps(long: By) -> str:
    means = _means(long)
    steps = [*next(iter(next(iter(means.values())).values()))]
    body = [
        [shot, alpha, *(_three(run[step]) for step in steps)]
        for shot, by_alpha in means.items()
        for alpha, run in by_alpha.items()
    ]
    return _grid(["windows", "alpha", *(f"{step} steps" for step in steps)], body, 2)


def _three(of: Mapping[str, float]) -> str:
    return f"{100 * of['accuracy']:.2f} / {100 * of['ece']:.2f} / {of['nll']:.3f}"
