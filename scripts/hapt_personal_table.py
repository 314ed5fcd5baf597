"""How hapt_personal.py writes what it found: table.md, report.json, plot.png, steps.png and people.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import hapt_personal_plot
from hapt_personal_stats import NONE, PLAIN, PUBLISHED, By, anchored, contrasts, means, summaries

from metatl.evaluation import compare
from metatl.lab import render, store
from metatl.lab.render.tables import p_value, plus_minus

CLAIMED = {("kl-anchor", PLAIN), ("kl-anchor-frozen", f"{PLAIN}-frozen")}
ABOUT = (
    "Nets (1-D convolutions, 12k weights) learn from the 21 official training people of HAPT and are "
    "adapted to each of the 9 test people with 1, 2, 5 or 10 labelled windows per activity of one of "
    "their two recordings; scored on 15 windows per activity of the other. Five draws a person, the same "
    "for every method, and {nets} nets (training seeds). Values were chosen in four folds of the 21, with "
    "nets that had not learned from those they were tried on (four draws a person); the nets that are "
    "scored learned from all 21. Rows without steps have nothing to choose. Batch norm takes its moments "
    "from the person's labelled windows (the anchor's frozen net too), but not in rows called frozen nor "
    "without personalisation; moments-only is that and no step. People, not draws, are the independent "
    "units: except where a table says episodes, a person's draws and nets are averaged first, intervals "
    "and tests are over people (Student's t, 8 degrees of freedom for 9), and p is Holm-corrected over a "
    "column."
)
OUTSIDE = (
    "Six folds leave every one of the {count} people out once: 20 people are learned from, 5 are chosen on, "
    "5 are tested, one net a fold."
)
CLAIM = (
    "Published on sleep staging (Phan et al. 2020, 75 people, a night each): the anchor adds 2.2 points over "
    "plain personalisation, 4.5 over none, and prevents over-fitting. Here, kl-anchor minus fine-tune, in "
    "points over people:"
)
PAIRED = "Difference in points, mean over people ± half of its 95 % interval, and p."
CHOICE = (
    "Differences, intervals and harm over episodes (draws), which are not independent: the tables above are "
    "the ones to test on. alpha 0 is plain fine-tuning, so a chosen 0 is the anchor switched off."
)
ACCURACY = "Accuracy in %, mean over people ± half of its 95 % interval."
HARM = "Difference to no personalisation in points, and how many people's mean fell below it."
WORST = "Accuracy in % of the worst tenth of the people, rounded up (1 of 9, 3 of 30)."
ECE = (
    "Expected calibration error in points (15 bins of confidence, by person) / negative log-likelihood, "
    "means over people."
)
STEPS = (
    "Plain and anchored personalisation for 100 steps of Adam at rate 0.003, chosen on nothing, every one of "
    "the {count} people with the net of the fold that leaves the person out: accuracy in % / expected "
    "calibration error in points / negative log-likelihood, after so many steps. Over-fitting shows as "
    "values that get worse with steps."
)
ANCHORED = (
    "The same runs: anchored minus plain after as many steps at the same rate, in points, mean over people "
    "± half of its 95 % interval, and p. To be read beside the tables above, where rates are chosen."
)
MEASURES = {"accuracy": "accuracy", "ece": "calibration error"}


def write(out: Path, official: By, everybody: By, long: Mapping[str, Any]) -> None:
    """table.md, report.json with rows as `metatl benchmark` writes them, and three plots."""
    tests, all_tests = contrasts(official), contrasts(everybody)
    summary = {shot: summaries(found) for shot, found in official.items()}
    outside = {shot: summaries(found) for shot, found in everybody.items()}
    count, nets = outside[5][NONE]["people"], official[5][NONE].report.facts["nets"]
    about = ABOUT.format(nets=nets)
    methods = sorted(summary[5], key=lambda method: -summary[5][method]["accuracy"])
    some = [method for method in methods if method in outside[5]]
    parts = ["# KL-anchored personalisation on HAPT", about, "## The published claim", CLAIM]
    parts += [_verdict(tests, all_tests), "## Paired differences", PAIRED, differences(tests)]
    parts += ["## Accuracy by amount of labelled data", ACCURACY, amounts(summary, methods, accuracy)]
    parts += ["## Who was harmed", HARM, amounts(summary, methods, harm)]
    parts += ["## Worst decile", WORST, amounts(summary, methods, worst)]
    parts += ["## Calibration", ECE, amounts(summary, methods, _calibration)]
    parts += [f"## All {count} people, each left out once", OUTSIDE.format(count=count), PAIRED]
    parts += [differences(all_tests), ACCURACY, amounts(outside, some, accuracy), HARM]
    parts += [amounts(outside, some, harm), WORST, amounts(outside, some, worst)]
    fixed = anchored(long)
    parts += [
        "## Over-fitting",
        STEPS.format(count=count),
        _steps(long),
        ANCHORED,
        _anchored(fixed),
        "## By episodes",
        CHOICE,
    ]
    by_shot: dict[str, Any] = {}
    for shot, found in official.items():
        reports = sorted((one.report for one in found.values()), key=lambda report: -report.mean)
        rows, protocol = compare.rows(reports, PLAIN, NONE), compare.protocol(reports, PLAIN, NONE)
        by_shot[str(shot)] = {"protocol": protocol, "rows": rows}
        parts += [f"### {windows(shot)} per activity", render.markdown(rows, protocol, times=False).strip()]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    told = {"about": about, **by_shot["5"], "by_shot": by_shot, "people": summary, "contrasts": tests}
    told |= {"left_out_once": outside, "left_out_contrasts": all_tests, "steps": means(long)}
    told |= {"anchored": fixed}
    store.write_json(out / "report.json", compare.plain(told))
    store.write_atomic(out / "plot.png", render.png(hapt_personal_plot.curves(summary, tests)))
    store.write_atomic(out / "steps.png", render.png(hapt_personal_plot.steps(means(long), count)))
    store.write_atomic(out / "people.png", render.png(hapt_personal_plot.people(outside)))


def windows(shot: int) -> str:
    return f"{shot} window{'s' * (shot > 1)}"


def grid(head: Sequence[str], body: Sequence[Sequence[str]], words: int) -> str:
    rule = ["---"] * words + ["--:"] * (len(head) - words)
    return "\n".join(f"| {' | '.join(line)} |" for line in [head, rule, *body])


def _verdict(*groups: Sequence[Mapping[str, Any]]) -> str:
    """Of kl-anchor against fine-tune: whether it helps, and whether the published gain is possible."""
    body = list[list[str]]()
    for test in (test for tests in groups for test in tests):
        if (test["method"], test["against"]) in CLAIMED:
            mean, half = test["difference"], test["ci95"]
            shown = "not shown" if not compare.shown(test["p"]) else "yes" if mean > 0 else "harms"
            place = "no interval" if half is None else f"interval lies {_place(mean, half)} it"
            better = f"{test['people'] - test['people_lower']} of {test['people']}"
            said = [plus_minus(mean, half, 2, "+"), p_value(test["p"]), shown, place]
            moments = "running" if "frozen" in test["method"] else "the person's"
            body.append([str(test["people"]), moments, windows(test["shot"]), *said, better])
    head = [
        "people",
        "moments",
        "per activity",
        "difference",
        "p",
        "helps",
        "+2.2 published",
        "people not lower",
    ]
    return grid(head, body, 3)


def _place(mean: float, half: float) -> str:
    return "above" if mean - half > PUBLISHED else "below" if mean + half < PUBLISHED else "around"


def amounts(summary: By, methods: Sequence[str], cell: Any) -> str:
    head = ["method", *(windows(shot) for shot in summary)]
    return grid(head, [[m, *(cell(summary[shot][m]) for shot in summary)] for m in methods], 1)


def accuracy(one: Mapping[str, Any]) -> str:
    return plus_minus(one["accuracy"], one["ci95"])


def harm(one: Mapping[str, Any]) -> str:
    gain = plus_minus(one["to_none"], one["to_none_ci95"], 2, "+")
    return f"{gain}; {one['harmed_people']} of {one['people']}"


def worst(one: Mapping[str, Any]) -> str:
    return f"{one['worst_decile']:.2f}"


def _calibration(one: Mapping[str, Any]) -> str:
    return f"{one['ece']:.2f} / {one['nll']:.3f}"


def differences(tests: Sequence[Mapping[str, Any]]) -> str:
    cells: dict[tuple[str, str], list[str]] = {}
    for test in tests:
        said = f"{plus_minus(test['difference'], test['ci95'], 2, '+')}, p {p_value(test['p'])}"
        cells.setdefault((test["method"], test["against"]), []).append(said)
    head = ["method", "against", *(windows(shot) for shot in sorted({test["shot"] for test in tests}))]
    return grid(head, [[*pair, *said] for pair, said in cells.items()], 2)


def _steps(long: Mapping[str, Any]) -> str:
    found = means(long)
    steps = [*next(iter(next(iter(found.values())).values()))]
    body = [
        [kind, alpha, *(_three(run[step]) for step in steps)]
        for kind, by_alpha in found.items()
        for alpha, run in by_alpha.items()
    ]
    return grid(["per activity", "alpha", *(f"{step} steps" for step in steps)], body, 2)


def _anchored(tests: Sequence[Mapping[str, Any]]) -> str:
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for test in tests:
        said = f"{plus_minus(test['difference'], test['ci95'], 2, '+')}, p {p_value(test['p'])}"
        column = f"{MEASURES[test['measure']]}, {test['steps']} steps"
        rows.setdefault((test["kind"], str(test["alpha"])), {})[column] = said
    head = ["per activity", "alpha", *next(iter(rows.values()))]
    return grid(head, [[*pair, *said.values()] for pair, said in rows.items()], 2)


def _three(of: Mapping[str, float]) -> str:
    return f"{100 * of['accuracy']:.2f} / {100 * of['ece']:.2f} / {of['nll']:.3f}"
