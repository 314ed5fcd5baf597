"""The tables of hapt_personal.py that README shows."""

from __future__ import annotations

from typing import Any

from metatl.render.tables import p_value

KIND = "5 windows, the person's moments"


def people(report: dict[str, Any]) -> str:
    """Accuracy by amount of labelled data, and the difference to plain fine-tuning where it was tested."""
    shots = list(report["people"])
    tests = {(str(t["shot"]), t["method"]): t for t in report["contrasts"] if t["against"] == "fine-tune"}
    order = sorted(report["people"][shots[-1]].items(), key=lambda item: -item[1]["accuracy"])
    count = order[0][1]["people"]
    about = (
        f"Accuracy in %, mean over {count} people, by labelled windows per activity; in brackets the paired "
        "difference to fine-tune in points with its 95 % t-interval over people."
    )
    lines = [
        about,
        "",
        f"| method | {' | '.join(shots)} |",
        f"|---|{'--:|' * len(shots)}",
    ]
    for method, _ in order:
        cells = [f"{report['people'][shot][method]['accuracy']:.1f}" for shot in shots]
        for place, shot in enumerate(shots):
            if test := tests.get((shot, method)):
                cells[place] += f" ({test['difference']:+.1f} ± {test['ci95']:.1f})"
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", everybody(report), "", *steps(report)])


def everybody(report: dict[str, Any]) -> str:
    """The anchor over all people, each left out once."""
    found = report["left_out_contrasts"]
    own = [test for test in found if (test["method"], test["against"]) == ("kl-anchor", "fine-tune")]
    said = [f"{t['difference']:+.2f} ± {t['ci95']:.2f} points with {t['shot']}" for t in own]
    return (
        f"All {own[0]['people']} people, each left out once: kl-anchor minus fine-tune "
        f"{', '.join(said)} window(s) per activity."
    )


def steps(report: dict[str, Any]) -> list[str]:
    """Accuracy and calibration in front of and behind many steps, by alpha."""
    found = report["steps"][KIND]
    first, *_, last = next(iter(found.values()))
    about = (
        "A rate chosen on nothing (5 windows, Adam at 0.003), every person left out once: "
        f"accuracy in % and calibration error in points in front of and behind {last} steps."
    )
    lines = [
        about,
        "",
        f"| alpha | accuracy, {first} | accuracy, {last} | calibration, {first} | calibration, {last} |",
        "|--:|--:|--:|--:|--:|",
    ]
    for alpha, of in found.items():
        cells = [f"{100 * of[step][name]:.1f}" for name in ("accuracy", "ece") for step in (first, last)]
        lines.append(f"| {alpha} | {' | '.join(cells)} |")
    return [*lines, "", most(report)]


def most(report: dict[str, Any]) -> str:
    """What the largest alpha adds to plain fine-tuning at that rate, with the person's moments."""
    tests = [t for t in report["anchored"] if "person's" in t["kind"] and t["measure"] == "accuracy"]
    alpha = max(test["alpha"] for test in tests)
    said = [
        f"{t['difference']:+.1f} ± {t['ci95']:.1f} with {t['kind'].split(',')[0]} and {t['steps']} steps "
        f"(p {p_value(t['p'])})"
        for t in tests
        if t["alpha"] == alpha
    ]
    return f"There alpha {alpha} minus plain, in points over {tests[0]['people']} people: {', '.join(said)}."
