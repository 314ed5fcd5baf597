"""report.html of `metatl transfer`: what `report.json` says, with the pictures beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metatl.lab.render import html
from metatl.lab.render.html import Html, Section
from metatl.lab.render.reports import command_words
from metatl.lab.render.tables import p_value
from metatl.transferring.covered import told

Row = Mapping[str, Any]
CAPTIONS = {
    "plot.png": "Scores over numbers of labels; bars: 95 % interval.",
    "sweep.png": "Scores over the blocks that keep their pre-trained weights; bars: 95 % interval.",
    "confusion.png": "What the saved row names rows that judge.",
    "mistakes.png": "The mistakes that it was surest of.",
}
"""The pictures that a transfer writes, in the order of the page."""


def page(found: Mapping[str, Any], pictures: Mapping[str, bytes], predictions: Sequence[Section] = ()) -> str:
    """The page of a transfer; the same bytes for the same values.

    found: as `report.json` holds it; pictures: the bytes of the figures that lie beside it, by file name;
    predictions: sections on single predictions (confusion, calibration, the surest mistakes).
    """
    protocol = found["protocol"]
    drawn = {name: html.figure(pictures[name], said) for name, said in CAPTIONS.items() if name in pictures}
    plots = [drawn.pop(name) for name in ("plot.png", "sweep.png") if name in drawn]
    sections = [
        Section("", _headline(found)),
        Section("Scores", html.joined((_scores(found), *plots))),
        Section(f"Differences to {protocol['reference']}", _differences(found)),
        Section("How sure", _sure(found)),
        *(predictions or [Section("Predictions of the saved row", html.side_by_side(*drawn.values()))]),
        Section("What was chosen", _chosen(protocol["saved"], found)),
        Section("Notes", html.notes(_notes(protocol))),
        Section("What it belongs to", _origin(protocol)),
        Section("The command that repeats it", html.command(command_words(protocol.get("command") or []))),
    ]
    return html.page(f"Ways of transferring on {protocol['data']}", sections)


def _unit(protocol: Mapping[str, Any]) -> tuple[str, str]:
    """The score's name, and its unit after a number."""
    return protocol.get("score", "accuracy"), " %" if protocol.get("unit", "%") == "%" else ""


def _said(row: Row | None, unit: str, key: str = "score") -> str:
    """`90.1 (88.2 to 92.0) %`: a value with the ends of its interval, percent to one decimal."""
    if row is None or row.get(key) is None:
        return "–"
    ends = row.get("ci95" if key == "score" else f"{key}_ci95")
    form = ("" if key == "score" else "+") + (".1f" if unit else ".4g")
    interval = "" if ends is None else f" ({ends[0]:{form}} to {ends[1]:{form}})"
    return f"{row[key]:{form}}{interval}"


def _labels(rows: Sequence[Row]) -> list[Any]:
    return list(dict.fromkeys(row["labelled"] for row in rows))


def _headline(found: Mapping[str, Any]) -> Html:
    protocol, saved = found["protocol"], found["protocol"]["saved"]
    own = [row for row in found["rows"] if row["method"] == saved["method"]]
    if not own:
        return html.headline(saved["method"], f"saved: {saved['how']}.")
    (name, unit), last = _unit(protocol), own[-1]
    each = "all labels" if last["labelled"] == "all" else f"{last['labelled']} labels"
    said = (
        f"{name} of {saved['method']}, the saved row ({saved['how']}), with {each}: the mean of "
        f"{last['draws']} draw{'s' if last['draws'] != 1 else ''} on {protocol['data']}; in brackets its "
        "95 % interval."
    )
    return html.headline(f"{_said(last, unit)}{unit}", said)


def _by_labels(found: Mapping[str, Any], key: str, unit: str, left_out: str = "") -> Html:
    """A row a method, a column a number of labels."""
    rows = found["rows"]
    labels, methods = _labels(rows), list(dict.fromkeys(row["method"] for row in rows))
    at = {(row["method"], row["labelled"]): row for row in rows}
    lines = [
        {"method": name, **{str(k): _cell(at.get((name, k)), key, unit) for k in labels}}
        for name in methods
        if name != left_out
    ]
    headings = _headings(labels)
    saved = found["protocol"]["saved"]["method"]
    return html.table(lines, {"method": "method", **headings}, strong=lambda row: row["method"] == saved)


def _headings(labels: Sequence[Any]) -> dict[str, str]:
    return {str(k): "all labels" if k == "all" else f"{k} label{'s' if k != 1 else ''}" for k in labels}


def _sure(found: Mapping[str, Any]) -> Html:
    """The further tables of table.md: coverage, log losses, calibration."""
    labels, saved = _labels(found["rows"]), found["protocol"]["saved"]["method"]
    columns = {"method": "method", **_headings(labels)}
    parts: list[Html] = []
    for said, cells in told(found["rows"], labels):
        lines = [
            {"method": name, **{str(k): cell or None for k, cell in zip(labels, row, strict=True)}}
            for name, row in cells.items()
        ]
        parts += [html.paragraph(said), html.table(lines, columns, lambda row: row["method"] == saved)]
    return html.joined(parts)


def _cell(row: Row | None, key: str, unit: str) -> str:
    said = _said(row, unit, key)
    if row is None:
        return said
    if key == "difference" and row.get("p") is not None:
        said += f", p {p_value(row['p'])}"
    return f"{said}, {row['diverged']} diverged" if row.get("diverged") and key == "score" else said


def _scores(found: Mapping[str, Any]) -> Html:
    name, unit = _unit(found["protocol"])
    in_unit = f" in{unit}" if unit else ""
    better = found["protocol"].get("better", "higher")
    meant = (found["protocol"].get("meaning") or {}).items()
    note = html.paragraph(f"{name}{in_unit} with its 95 % interval, {better} is better; bold: the saved row.")
    said = html.folded("what the values mean", html.notes([f"{key}: {value}" for key, value in meant]))
    return html.joined((note, _by_labels(found, "score", unit), said))


def _differences(found: Mapping[str, Any]) -> Html:
    reference, unit = found["protocol"]["reference"], _unit(found["protocol"])[1]
    if all(row.get("difference") is None for row in found["rows"]):
        return Html()
    points = " in percentage points" if unit else ""
    said = html.paragraph(f"On the same draws{points}, with 95 % intervals; p corrected by Holm.")
    return html.joined((said, _by_labels(found, "difference", unit, reference)))


def _chosen(saved: Mapping[str, Any], found: Mapping[str, Any]) -> Html:
    scores = [
        {"method": name, "validation": value} for name, value in (saved.get("validation") or {}).items()
    ]
    how = html.paragraph(f"The saved row is {saved['method']}: {saved['how']}.")
    picked = html.facts(saved.get("selected") or {})
    table = html.table(
        scores,
        {"method": "method", "validation": "score inside the labelled rows"},
        strong=lambda row: row["method"] == saved["method"],
    )
    values = [
        {"method": row["method"], "labels": row["labelled"], "how": row["selected"]["how"], **_counts(row)}
        for row in found["rows"]
        if row["selected"]["values"]
    ]
    each = html.table(values, {"method": "method", "labels": "labels", "how": "how", "values": "values"})
    return html.joined((how, picked, table, html.folded("what each row chose, and how often", each)))


def _counts(row: Row) -> dict[str, str]:
    said = (
        f"{name} {value} in {times}"
        for name, counts in row["selected"]["values"].items()
        for value, times in counts.items()
    )
    return {"values": "; ".join(said)}


def _notes(protocol: Mapping[str, Any]) -> list[str]:
    """What a reader should know before relying on the table."""
    lacking = [
        f"{one['method']} at {one['labelled']} labels: the minutes did not reach {one['draws_missing']} of "
        f"{one['draws_missing'] + one['draws_done']} draws."
        for one in protocol.get("missing") or []
    ]
    left = protocol.get("left_out") or protocol.get("unreadable") or []
    return [*(protocol.get("notes") or []), *(f"Left out: {one}" for one in left), *lacking]


_ELSEWHERE = ("saved", "meaning", "missing", "notes", "left_out", "unreadable", "command")


def _origin(protocol: Mapping[str, Any]) -> Html:
    rest = {name: value for name, value in protocol.items() if name not in _ELSEWHERE}
    return html.facts({name: value for name, value in rest.items() if value not in (None, "", [], {})})
