"""The table of scripts/shift.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from metatl.lab.render.tables import p_value

_ASKED = {
    "classifier": "P(X): AUROC",
    "labels": "P(Y): total variation",
    "within classes": "P(X given Y): AUROC",
    "conditional": "P(Y given X): correlation",
}


def table(report: Mapping[str, Any]) -> str:
    """Level and power of every test, names, and the verdicts on real pairs."""
    pairs = report["pairs"]
    tests = list(next(iter(pairs.values()))["tests"])
    lines = [
        "Share of pairs in percent: an alarm is any test below 0.05 after Holm's correction (95 % interval:",
        "Wilson); single tests are below 0.05 before it. `level`: halves of one domain; `power`: made",
        "shifts, by rows of each domain.",
        "",
        f"| pairs | n | alarm | {' | '.join(tests)} | named |",
        "| --- | --: | --: |" + " --: |" * len(tests) + " --- |",
    ]
    for name, one in pairs.items():
        low, high = (100 * end for end in one["ci95"])
        alarm = f"{100 * one['alarms'] / one['pairs']:.1f} [{low:.1f}, {high:.1f}]"
        shares = [f"{100 * one['tests'][test]:.0f}" for test in tests]
        named = ", ".join(f"{said} {count}" for said, count in one["named"].items())
        lines.append(f"| {name} | {one['pairs']} | {alarm} | {' | '.join(shares)} | {named} |")
    lines += [
        "",
        f"| source | target | {' | '.join(f'{asked}, p' for asked in _ASKED.values())} | named |",
    ]
    lines += ["| --- | --- | --: | --: | --: | --: | --- |"]
    for one in report["real"]:
        by = {test["name"]: test for test in one["tests"]}
        cells = [_cell(by.get(name)) for name in _ASKED]
        named = (" or " if one["one_of_them"] else " and ").join(one["shifts"]) or "none"
        lines.append(f"| {one['source']} | {one['target']} | {' | '.join(cells)} | {named} |")
    return "\n".join(lines) + "\n"


def _cell(test: Mapping[str, Any] | None) -> str:
    return "–" if test is None or test["p"] is None else f"{test['effect']:.2f}, {p_value(test['p_holm'])}"
