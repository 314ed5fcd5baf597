"""The tables of hapt_personal.py that README shows."""

from __future__ import annotations

from typing import Any

from metatl.lab.render.tables import p_value, plus_minus


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
                cells[place] += f" ({plus_minus(test['difference'], test['ci95'], 1, '+')})"
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", everybody(report), "", *harmed(report), "", *steps(report)])


def everybody(report: dict[str, Any]) -> str:
    """The anchor over all people, each left out once."""
    found = report["left_out_contrasts"]
    own = [test for test in found if (test["method"], test["against"]) == ("kl-anchor", "fine-tune")]
    said = [f"{plus_minus(t['difference'], t['ci95'], 2, '+')} points with {t['shot']}" for t in own]
    return (
        f"All {own[0]['people']} people, each left out once: kl-anchor minus fine-tune "
        f"{', '.join(said)} window(s) per activity."
    )


def harmed(report: dict[str, Any]) -> list[str]:
    """Whom personalisation leaves worse off than none, and where it takes the worst of them."""
    shots = list(report["people"])
    lines = [
        "Worse off than without personalisation, of so many people; mean accuracy of the worst tenth in %.",
        "",
        f"| method | people | {' | '.join(shots)} |",
        f"|---|--:|{'--:|' * len(shots)}",
    ]
    for by_shot in (report["people"], report["left_out_once"]):
        for method in ("no-personalisation", "moments-only", "fine-tune", "kl-anchor"):
            own = {shot: by_shot[shot][method] for shot in by_shot}
            told = {shot: f"{of['harmed_people']}; {of['worst_decile']:.1f}" for shot, of in own.items()}
            people = next(iter(own.values()))["people"]
            lines.append(f"| {method} | {people} | {' | '.join(told.get(shot, '') for shot in shots)} |")
    return lines


def steps(report: dict[str, Any]) -> list[str]:
    """Accuracy and calibration before and after many steps, by alpha."""
    found = {kind: of for kind, of in report["steps"].items() if kind.startswith("5 ")}
    first, *_, last = next(iter(next(iter(found.values())).values()))
    about = (
        "One rate for all (5 windows, Adam at 0.003), every person left out once: "
        f"accuracy in % and calibration error in points before and after {last} steps."
    )
    head = ["batch norm", "alpha"]
    head += [f"{name}, {step}" for name in ("accuracy", "calibration") for step in (first, last)]
    lines = [about, "", f"| {' | '.join(head)} |", f"|---|{'--:|' * (len(head) - 1)}"]
    for kind, by_alpha in found.items():
        for alpha, of in by_alpha.items():
            cells = [f"{100 * of[step][name]:.1f}" for name in ("accuracy", "ece") for step in (first, last)]
            lines.append(f"| {kind.partition(', ')[2]} | {alpha} | {' | '.join(cells)} |")
    return [*lines, "", *most(report)]


def most(report: dict[str, Any]) -> list[str]:
    """What the largest alpha adds to plain fine-tuning at that rate."""
    tests = [t for t in report["anchored"] if t["measure"] == "accuracy"]
    alpha = max(test["alpha"] for test in tests)
    cells = dict[str, dict[str, str]]()
    for t in tests:
        windows, _, moments = t["kind"].partition(", ")
        if t["alpha"] == alpha:
            found = f"{plus_minus(t['difference'], t['ci95'], 1, '+')} (p {p_value(t['p'])})"
            cells.setdefault(moments, {})[f"{windows}, {t['steps']} steps"] = found
    columns = list(next(iter(cells.values())))
    lines = [
        f"There alpha {alpha} minus plain, in points over {tests[0]['people']} people:",
        "",
        f"| batch norm | {' | '.join(columns)} |",
        f"|---|{'--:|' * len(columns)}",
    ]
    return lines + [f"| {kind} | {' | '.join(own[c] for c in columns)} |" for kind, own in cells.items()]
