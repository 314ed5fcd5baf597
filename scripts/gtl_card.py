"""What of Guided Transfer Learning to use, when, and what it is worth beside its cheapest rival.

    python scripts/gtl_card.py    # reads results/, writes results/gtl-card/table.md and report.json; seconds

A line is one comparison of a committed study, as its report (or the table of its README.md) has it: the part
of GTL, where, the cheapest other way to the same end, the difference with its interval, and p, Holm-corrected
within that study. Nothing is measured here; studies that were not run are named. README shows five parts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import study
from gtl_card_lines import IN_README, LINES, Line

from metatl.evaluation.statistics import shown
from metatl.lab import store
from metatl.lab.render.tables import p_value

ROOT = Path(__file__).resolve().parent.parent
VALUE = re.compile(r"([-+][\d.]+)(?: \[([-\d.]+), ([-\d.]+)\])?$")
"""A difference in points, with the ends of its interval."""
FOUND = ("difference", "ci95", "p")


def tests(folder: Path) -> list[dict[str, Any]]:
    """The comparisons of a study: of its report, or of the table of its README.md; none where neither is."""
    report, page = folder / "report.json", folder / "README.md"
    if report.is_file():
        return cast(dict[str, Any], store.read_json(report)).get("contrasts", [])
    return from_page(page.read_text(encoding="utf-8")) if page.is_file() else []


def from_page(text: str) -> list[dict[str, Any]]:
    """The rows of a table as beside.py writes it: target, labels, row, beside, difference, p, draws."""
    found = list[dict[str, Any]]()
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        value = VALUE.match(cells[4]) if len(cells) == 7 else None
        if value is not None:
            half = None if value[2] is None else (float(value[3]) - float(value[2])) / 2
            sure = re.fullmatch(r"<?([\d.]+)", cells[5])
            told = {"target": cells[0], "labels": cells[1], "beside": cells[3], "difference": float(value[1])}
            found.append({**told, "ci95": half, "p": None if sure is None else float(sure[1])})
    return found


def card(root: Path, lines: Sequence[Line] = LINES) -> list[dict[str, Any]]:
    """Every line with what its study found: None for all where the study is not there.

    Lines that a study which is there does not compare (a net without such a row) are left out.
    """
    made = list[dict[str, Any]]()
    for line in lines:
        held = tests(root / line.folder)
        found = [one for one in held if all(one.get(key) == value for key, value in line.values.items())]
        said = {"part": line.part, "where": line.where, "rival": line.rival, "study": line.folder}
        if found or not held:
            made.append({**said, **{key: found[0][key] if found else None for key in FOUND}})
    return made


def verdict(line: Mapping[str, Any]) -> str:
    """In a word: p decides."""
    if not shown(line["p"]):
        return "no difference shown"
    return "better" if line["difference"] > 0 else "worse"


def points(line: Mapping[str, Any]) -> str:
    """The difference, with half of its interval."""
    half = "" if line["ci95"] is None else f" ± {line['ci95']:.1f}"
    return f"{line['difference']:+.1f}{half}"


def grid(rows: Sequence[Sequence[str]]) -> str:
    """In Markdown; the first row is the head."""
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines)


def five(report: Mapping[str, Any]) -> str:
    """What README shows: parts, with how often each is shown to be better or worse than its rival."""
    rows = [["of GTL", "rivals without scouts", "comparisons", "better", "worse", "largest", "smallest"]]
    for part in IN_README:
        own = [line for line in report["lines"] if line["part"] == part and line["difference"] is not None]
        own.sort(key=lambda line: -line["difference"])
        said = [verdict(line) for line in own]
        ends = [f"{points(line)} ({line['where']})" for line in (own[0], own[-1])] if own else ["", ""]
        rivals = ", or ".join(dict.fromkeys(line["rival"] for line in own))
        counts = [str(len(own)), str(said.count("better")), str(said.count("worse"))]
        rows.append([part, rivals or "not run yet", *counts, *ends])
    return grid(rows)


def write(root: Path, out: Path) -> None:
    """table.md and report.json."""
    lines = card(root)
    done = [line for line in lines if line["difference"] is not None]
    left = list(dict.fromkeys(line["study"] for line in lines if line["difference"] is None))
    rows = [["of GTL", "where", "cheapest rival", "difference, points", "p", "it is", "study"]]
    for line in done:
        told = [line["part"], line["where"], line["rival"], points(line), p_value(line["p"]), verdict(line)]
        rows.append([*told, f"[{line['study']}](../{line['study']})"])
    about = (
        f"{len(done)} comparisons of committed studies, as `python scripts/gtl_card.py` reads them. Rivals "
        "need no scouts. Differences in points of accuracy, ± half of the 95 % interval; p Holm-corrected "
        "within its study, not over this table; better, worse: p < 0.05. What a study counts (tasks, nets, "
        "people, draws), and the controls of each part (permuted, random, shuffled), are in its own table. "
    )
    about += f"Not run yet: {', '.join(left)}." if left else "All of them have been run."
    parts = ["# What of Guided Transfer Learning to use", about, grid(rows)]
    store.write_text(out / "table.md", "\n\n".join(parts) + "\n")
    store.write_json(out / "report.json", {"about": about, "lines": lines})


def main() -> None:
    parser = study.parser("What of GTL to use, when, and beside what.", "results/gtl-card")
    write(ROOT / "results", Path(parser.parse_args().out))


if __name__ == "__main__":
    study.command(main)
