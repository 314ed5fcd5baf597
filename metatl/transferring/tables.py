"""The report as a Markdown table: scores over numbers of labels, differences, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from metatl import text
from metatl.lab.render.tables import p_value
from metatl.transferring.covered import covered
from metatl.transferring.older import in_words_of_today

Row = Mapping[str, Any]
DEFAULT = (
    "d: the row took the documented default of its config, which no row of yours has chosen, as the "
    "minutes (or one label of each class) allow no cross-validation; the other rows chose by it, inside the "
    "labelled {unit}s of each draw, or have nothing to choose."
)

BEST = "the best of the rows with most draws"
SOURCE = "Without labels rows chose by held-out {unit}s of the source; {unit}s that judge were not seen."


def markdown(found: Mapping[str, Any]) -> str:
    """table.md: score and difference for every way and number of labels, notes, what is missing."""
    found = text.each(in_words_of_today(found), text.markdown)
    rows, protocol = found["rows"], found["protocol"]
    labels, methods = _seen(rows, "labelled"), _seen(rows, "method")
    at = {(row["method"], row["labelled"]): row for row in rows}
    head, form = ["method", *(_heading(k, protocol) for k in labels)], _Form(protocol)
    scores = [
        [_method(name, rows), *(form.score(at.get((name, k)), _best(rows, k, protocol)) for k in labels)]
        for name in methods
    ]
    reference = protocol["reference"]
    gaps = [[name, *(form.gap(at.get((name, k))) for k in labels)] for name in methods if name != reference]
    parts = [
        f"# Ways of transferring on {protocol['data']}",
        _sentence(protocol),
        f"{_of(protocol)} with its 95 % interval, by {_labels(protocol)}; bold: {BEST}.",
        _grid([head, *scores]),
        f"Difference to {reference} on the same draws{form.points}, and p (Holm).",
        _grid([head, *gaps]),
        *covered(rows, labels, [_heading(k, protocol) for k in labels]),
        "\n".join(f"- {note}" for note in _notes(found)),
    ]
    return "\n\n".join(parts) + "\n"


def console(found: Mapping[str, Any]) -> str:
    """What the score is, and the scores, as plain text."""
    rows = text.each(found["rows"], text.terminal)
    labels, methods = _seen(rows, "labelled"), _seen(rows, "method")
    at = {(row["method"], row["labelled"]): row for row in rows}
    protocol, form = found["protocol"], _Form(found["protocol"])
    lines = [["method", *(_heading(k, protocol) for k in labels)]]
    lines += [[name, *(form.plain(at.get((name, k))) for k in labels)] for name in methods]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    table = ("  ".join(_padded(line, widths)).rstrip() for line in lines)
    return "\n".join([f"{_of(protocol)}, by {_labels(protocol)}", "", *table])


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]


def _seen(rows: Sequence[Row], key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))


def _heading(k: Any, protocol: Mapping[str, Any]) -> str:
    word = "label" if protocol["targets"] == "classes" else protocol["unit_of_data"]
    return f"all {word}s" if k == "all" else f"{k} {word}{'s' if k != 1 else ''}"


def _labels(protocol: Mapping[str, Any]) -> str:
    rows = f"labelled {protocol['unit_of_data']}s"
    return "labels of each class" if protocol["targets"] == "classes" else rows


def _of(protocol: Mapping[str, Any]) -> str:
    unit = " in percent" if protocol["unit"] == "%" else f" ({protocol['better']} is better)"
    name = protocol["score"]
    return name[:1].upper() + name[1:] + unit


def _best(rows: Sequence[Row], k: Any, protocol: Mapping[str, Any]) -> float | None:
    """The best score of the rows with the most draws: fewer may have been easier ones."""
    own = [row for row in rows if row["labelled"] == k and row["score"] is not None]
    most = max((row["draws"] for row in own), default=0)
    found = [row["score"] for row in own if row["draws"] == most]
    return (max if protocol["better"] == "higher" else min)(found, default=None)


def _method(name: str, rows: Sequence[Row]) -> str:
    moved = next(row["moved"] for row in rows if row["method"] == name)
    return f"{name} (body moves)" if moved else name


@dataclass(frozen=True)
class _Form:
    """How numbers are printed: shares in percent with one place, others with four digits."""

    protocol: Mapping[str, Any]

    @property
    def points(self) -> str:
        """After a difference of shares."""
        return ", in percentage points" if self.protocol["unit"] == "%" else ""

    def number(self, value: float, sign: str = "") -> str:
        """A score or a difference."""
        return f"{value:{sign}.1f}" if self.protocol["unit"] == "%" else f"{value:{sign}.4g}"

    def range(self, ci95: Sequence[float] | None) -> str:
        """An interval, if there is one."""
        return "" if ci95 is None else f" [{self.number(ci95[0])}, {self.number(ci95[1])}]"

    def score(self, row: Row | None, best: float | None) -> str:
        """A cell of the table of scores."""
        if row is None or row["score"] is None:
            return "–" + ("" if row is None else _marks(row))
        score = self.number(row["score"])
        score = f"**{score}**" if row["score"] == best else score
        return score + self.range(row["ci95"]) + _marks(row)

    def plain(self, row: Row | None) -> str:
        """The same for a terminal."""
        if row is None or row["score"] is None:
            return "–" + ("" if row is None else _lost(row))
        return self.number(row["score"]) + self.range(row["ci95"]) + _lost(row)

    def gap(self, row: Row | None) -> str:
        """A cell of the table of differences."""
        if row is None or row["difference"] is None:
            return "–"
        p = "" if row["p"] is None else f", p {p_value(row['p'])}"
        return f"{self.number(row['difference'], '+')}{self.range(row['difference_ci95'])}{p}"


def _marks(row: Row) -> str:
    """A number of draws that is small, and values that are defaults where others are chosen."""
    few = f", {row['draws']} draw{'s' if row['draws'] > 1 else ''}" if row["labelled"] != "all" else ""
    default = " d" if "default" in row["selected"]["how"] else ""
    return few + _lost(row) + default


def _lost(row: Row) -> str:
    return f", {row['diverged']} diverged" if row.get("diverged") else ""


def _grid(lines: Sequence[Sequence[str]]) -> str:
    head, *body = lines
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])


def _sentence(protocol: Mapping[str, Any]) -> str:
    net, unit = " ".join(filter(None, (protocol["net"], protocol["input"]))), protocol["unit_of_data"]
    one, count = {"labels": "label", "real": "real target"}.get(protocol["targets"]), len(protocol["classes"])
    told = text.counted(count, one) if one else f"{count} classes"
    return (
        f"{net}, {told}, {protocol['labelled_rows']} labelled {unit}s, "
        f"{protocol['judging_rows']} to judge ({protocol['test_part']}), at most "
        f"{text.counted(protocol['draws'], 'draw')}, "
        f"seed {protocol['seed']}, {protocol['mode']}."
    )


def _notes(found: Mapping[str, Any]) -> list[str]:
    protocol = found["protocol"]
    notes = [f"{key}: {said}." for key, said in protocol["meaning"].items()]
    if any("source" in row["selected"]["how"] for row in found["rows"]):
        notes.append(SOURCE.format(unit=protocol["unit_of_data"]))
    notes += [
        DEFAULT.format(unit=protocol["unit_of_data"]),
        f"Weights: {protocol['weights']}.",
        f"Saved model: {protocol['saved']['method']}; {protocol['saved']['how']}.",
    ]
    if any(row["ci95"] is None for row in found["rows"]):
        notes.append("Without an interval: one or two draws say nothing about other draws.")
    notes += [f"Left out: {said}." for said in protocol["left_out"]]
    notes += list(protocol["notes"])
    minutes = text.counted(protocol["minutes"], "minute")
    notes += [f"The {minutes} did not reach {said}." for said in _lacking(protocol["missing"])]
    return notes


def _lacking(missing: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is missing, rows that lack the same draws together."""
    by_row: dict[str, list[str]] = {}
    for one in missing:
        draws = f"{one['draws_missing']} draw" + "s" * (one["draws_missing"] > 1)
        by_row.setdefault(one["method"], []).append(f"{draws} at {one['labelled']}")
    alike: dict[str, list[str]] = {}
    for name, lacks in by_row.items():
        alike.setdefault(", ".join(lacks), []).append(name)
    return [f"{lacks} of {', '.join(names)}" for lacks, names in alike.items()]
