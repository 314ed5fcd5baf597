"""The report as a Markdown table: scores over numbers of labels, differences, and what they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from metatl import text
from metatl.lab.render.tables import p_value
from metatl.transferring.rows import REFERENCE

Row = Mapping[str, Any]
DEFAULT = (
    "d: the row took the documented default of its config, which no photo of yours has chosen, as the "
    "minutes (or one label of each class) allow no cross-validation; the other rows chose by it, inside the "
    "labelled photos of each draw, or have nothing to choose."
)


def markdown(found: Mapping[str, Any]) -> str:
    """table.md: accuracy and difference for every way and number of labels, notes, what is missing."""
    found = text.each(found, text.markdown)
    rows, protocol = found["rows"], found["protocol"]
    labels, methods = _seen(rows, "labelled"), _seen(rows, "method")
    at = {(row["method"], row["labelled"]): row for row in rows}
    head = ["method", *(_heading(k) for k in labels)]
    best = {k: max(row["score"] for row in rows if row["labelled"] == k) for k in labels}
    scores = [
        [_method(name, rows), *(_score(at.get((name, k)), best[k]) for k in labels)] for name in methods
    ]
    others = [name for name in methods if name != REFERENCE]
    gaps = [[name, *(_gap(at.get((name, k))) for k in labels)] for name in others]
    parts = [
        f"# Ways of transferring on {protocol['data']}",
        _sentence(protocol),
        "Accuracy in percent with its 95 % interval, by labels of each class; bold: the best.",
        _grid([head, *scores]),
        f"Difference to {REFERENCE} on the same draws, in percentage points, and p (Holm).",
        _grid([head, *gaps]),
        "\n".join(f"- {note}" for note in _notes(found)),
    ]
    return "\n\n".join(parts) + "\n"


def console(found: Mapping[str, Any]) -> str:
    """The scores as plain text."""
    rows = text.each(found["rows"], text.terminal)
    labels, methods = _seen(rows, "labelled"), _seen(rows, "method")
    at = {(row["method"], row["labelled"]): row for row in rows}
    lines = [["method", *(_heading(k) for k in labels)]]
    lines += [[name, *(_plain(at.get((name, k))) for k in labels)] for name in methods]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(_padded(line, widths)).rstrip() for line in lines)


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.rjust(width) if i else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]


def _seen(rows: Sequence[Row], key: str) -> list[Any]:
    return list(dict.fromkeys(row[key] for row in rows))


def _heading(k: Any) -> str:
    return "all labels" if k == "all" else f"{k} label{'s' if k != 1 else ''}"


def _method(name: str, rows: Sequence[Row]) -> str:
    moved = next(row["moved"] for row in rows if row["method"] == name)
    return f"{name} (body moves)" if moved else name


def _score(row: Row | None, best: float) -> str:
    if row is None:
        return "–"
    score = f"{row['score']:.1f}"
    score = f"**{score}**" if row["score"] == best else score
    return score + _range(row["ci95"]) + _marks(row)


def _plain(row: Row | None) -> str:
    return "–" if row is None else f"{row['score']:.1f}" + _range(row["ci95"]) + _lost(row)


def _range(ci95: Sequence[float] | None) -> str:
    return "" if ci95 is None else f" [{ci95[0]:.1f}, {ci95[1]:.1f}]"


def _marks(row: Row) -> str:
    """A number of draws that is small, and values that are defaults where others are chosen."""
    few = f", {row['draws']} draw{'s' if row['draws'] > 1 else ''}" if row["labelled"] != "all" else ""
    default = " d" if "default" in row["selected"]["how"] else ""
    return few + _lost(row) + default


def _lost(row: Row) -> str:
    return f", {row['diverged']} diverged" if row.get("diverged") else ""


def _gap(row: Row | None) -> str:
    if row is None or row["difference"] is None:
        return "–"
    p = "" if row["p"] is None else f", p {p_value(row['p'])}"
    return f"{row['difference']:+.1f}{_range(row['difference_ci95'])}{p}"


def _grid(lines: Sequence[Sequence[str]]) -> str:
    head, *body = lines
    rule = ["---", *("---:" for _ in head[1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *body])


def _sentence(protocol: Mapping[str, Any]) -> str:
    return (
        f"{protocol['net']} at {protocol['preparation']['size']} px, {len(protocol['classes'])} classes, "
        f"{protocol['photos_labelled']} labelled photos, {protocol['photos_test']} to judge "
        f"({protocol['test_part']}), at most {protocol['draws']} draws, seed {protocol['seed']}, "
        f"{protocol['mode']}."
    )


def _notes(found: Mapping[str, Any]) -> list[str]:
    protocol = found["protocol"]
    notes = [f"{key}: {said}." for key, said in protocol["meaning"].items()]
    notes += [
        DEFAULT,
        f"Weights: {protocol['weights']}.",
        f"Saved model: {protocol['saved']['method']}; {protocol['saved']['how']}.",
    ]
    if any(row["ci95"] is None for row in found["rows"]):
        notes.append("Without an interval: one or two draws say nothing about other draws.")
    notes += [f"Left out: {name} (cannot be read)." for name in protocol["unreadable"]]
    notes += list(protocol["notes"])
    notes += [
        f"The {protocol['minutes']:g} minutes did not reach {said}." for said in _lacking(protocol["missing"])
    ]
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
