"""The benchmark's rows as a Markdown table and as plain text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from metatl import text
from metatl.evaluation.scores import of_protocol
from metatl.lab.render.ends import at_an_end

Row = Mapping[str, Any]
COLUMNS = 110
NUMERIC = slice(2, None)
TIMES = ("learn", "ms")
"""The last columns, which the last note explains."""


def markdown(rows: Sequence[Row], protocol: Mapping[str, Any], times: bool = True) -> str:
    """The rows of `compare.rows` as table.md: the protocol, aligned columns, what each column means.

    times: with what the rows took. A study's table leaves it out: a second run then writes the same bytes.
    """
    shown = slice(None if times else -len(TIMES))
    rows, protocol = text.each(rows, text.markdown), text.each(protocol, text.markdown)
    head = _headings(protocol, ("inductive", "transductive"))[shown]
    body = [_cells(row, protocol, ("inductive", "transductive"))[shown] for row in rows]
    for cells, best in zip(body, _best(rows, protocol), strict=True):
        if best:
            cells[0], cells[2] = f"**{cells[0]}**", f"**{cells[2]}**"
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    rule = ["-" * w if i < NUMERIC.start else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    table = "\n".join(f"| {' | '.join(_padded(line, widths))} |" for line in [head, rule, *body])
    said = _notes(rows, protocol, "Bold: the best mean.")
    notes = "\n".join(f"- {note}" for note in (said if times else said[:-1]))
    return f"{_title(protocol)}\n\n{table}\n\n{notes}\n{_selected(rows)}"


def as_cells(
    rows: Sequence[Row], protocol: Mapping[str, Any]
) -> tuple[list[str], list[list[str]], list[str]]:
    """The same headings, the cells of each row and the notes, as plain text of no form."""
    modes = ("inductive", "transductive")
    cells = [_cells(row, protocol, modes) for row in rows]
    return _headings(protocol, modes), cells, _notes(rows, protocol, "Bold: the best mean.")


def console(rows: Sequence[Row], protocol: Mapping[str, Any]) -> str:
    """The rows of `compare.rows` as plain text, at most 110 columns wide."""
    rows, protocol = text.each(rows, text.terminal), text.each(protocol, text.terminal)
    head = _headings(protocol, ("ind", "trans"))
    body = [_cells(row, protocol, ("ind", "trans")) for row in rows]
    for cells, best in zip(body, _best(rows, protocol), strict=True):
        cells[2] = f"*{cells[2]}" if best else cells[2]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    widths[0] = max(8, min(widths[0], COLUMNS - sum(widths[1:]) - 2 * (len(widths) - 1)))
    for cells in body:
        cells[0] = textwrap.shorten(cells[0], widths[0], placeholder="…") if " " in cells[0] else cells[0]
        cells[0] = cells[0] if len(cells[0]) <= widths[0] else cells[0][: widths[0] - 1] + "…"
    lines = ["  ".join(_padded(line, widths)).rstrip() for line in [head, ["-" * w for w in widths], *body]]
    notes = _notes(rows, protocol, "*: the best mean. ind, trans: inductive, transductive.")
    told = textwrap.fill(" ".join(notes), COLUMNS)
    return "\n".join([textwrap.fill(_title(protocol), COLUMNS), "", *lines, "", told]) + "\n"


def _padded(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        c.ljust(w) if i < NUMERIC.start else c.rjust(w)
        for i, (c, w) in enumerate(zip(line, widths, strict=True))
    ]


def _unit(protocol: Mapping[str, Any]) -> str:
    """What the scores are of."""
    return str(protocol.get("unit", "episodes"))


def _title(protocol: Mapping[str, Any]) -> str:
    """One line: data, split, way, shot, query, episodes, seed, hash; what the protocol lacks is left out."""
    said = [f"{protocol.get('data', 'data')}, {protocol.get('split', 'split')}"]
    said += [f"{protocol['way']}-way"] if protocol.get("way") else []
    said += [f"{protocol['shot']}-shot"] if protocol.get("shot") else []
    queries = "queries a class" if protocol.get("way") else "queries"
    said += [f"{protocol['query']} {queries}"] if protocol.get("query") else []
    said += [f"{protocol['episodes']} {_unit(protocol)}"] if protocol.get("episodes") else []
    said += [f"seed {protocol['seed']}"] if protocol.get("seed") is not None else []
    said += [f"episodes hash {str(protocol['episodes_hash'])[:12]}"] if protocol.get("episodes_hash") else []
    return ", ".join(said)


def _headings(protocol: Mapping[str, Any], modes: tuple[str, str]) -> list[str]:
    short = len(modes[0]) < 5
    return [
        "method",
        "mode",
        of_protocol(protocol).titled,
        "difference" if short else f"difference to {protocol.get('reference', 'reference')}",
        "p",
        "harm %" if short else "harmed, %",
        "worst" if short else "worst 10 %",
        "weights" if short else "trainable weights",
        "learn s" if short else "seconds to learn",
        "ms/task" if short else "ms a task",
    ]


def _cells(row: Row, protocol: Mapping[str, Any], modes: tuple[str, str]) -> list[str]:
    score = of_protocol(protocol)
    places = score.places
    itself = row["method"] == protocol.get("reference")
    return [
        str(row["method"]),
        modes[bool(row["transductive"])],
        _with_lost(plus_minus(row[score.name], row["ci95"], places), row),
        "reference" if itself else plus_minus(row["difference"], row["difference_ci95"], places, "+"),
        "" if itself else p_value(row["p"]),
        "" if row["method"] == protocol.get("harmed_against") else f"{row['harmed']:.1f}",
        f"{row['worst_decile']:.{places}f}",
        _count(row.get("trainable"), len(modes[0]) < 5),
        _amount(row.get("seconds_to_learn")),
        _amount(row.get("ms_per_task")),
    ]


def plus_minus(mean: float, ci95: float | None, places: int = 2, sign: str = "") -> str:
    """A mean and half of its interval; the mean alone where there is none."""
    said = f"{round(mean, places) + 0.0:{sign}.{places}f}"  # no "-0.00"
    return said if ci95 is None else f"{said} ± {ci95:.{places}f}"


def _with_lost(said: str, row: Row) -> str:
    return f"{said} ({row['diverged']} diverged)" if row.get("diverged") else said


def p_value(p: float | None) -> str:
    """Three decimals below 0.1, two above, never more than it tells; a dash where nothing was tested."""
    if p is None:
        return "–"
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def _count(number: float | None, short: bool) -> str:
    if number is None:
        return "–"
    if not short or number < 10_000:
        return f"{number:,.0f}"
    return f"{number / 1e3:.0f}k" if number < 999_500 else f"{number / 1e6:.1f}M"


def _amount(number: float | None) -> str:
    if number is None:
        return "–"
    return f"{number:,.0f}" if number >= 99.95 else f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"


def _best(rows: Sequence[Row], protocol: Mapping[str, Any]) -> list[bool]:
    """Which rows hold the best mean; all of them where several do."""
    score = of_protocol(protocol)
    means = [row[score.name] for row in rows]
    best = max(means, key=lambda mean: score.sign * mean)
    return [mean == best for mean in means]


def _notes(rows: Sequence[Row], protocol: Mapping[str, Any], marks: str) -> list[str]:
    score, reference = of_protocol(protocol), protocol.get("reference", "the reference")
    against = protocol.get("harmed_against", reference)
    which, better = ("lowest", "more") if score.better == "higher" else ("largest", "less")
    unit = _unit(protocol)
    lost = [f"diverged: {unit} whose predictions are not finite; they count as wrong throughout."]
    paired = f"mean over {unit} of method minus {reference} on the same {unit[:-1]}"
    return [
        f"{marks} For {score.name}, {better} is better.",
        "mode: transductive methods see all queries of a task at once, inductive ones each query alone.",
        f"±: {protocol.get('interval', '95 % interval')}; none, and no p, where no difference varies.",
        f"difference: {paired}; p: paired t-test, two-sided, Holm-corrected over all methods but it.",
        *(lost if any(row.get("diverged") for row in rows) else []),
        f"harmed: percent of {unit} strictly worse than {against} on the same {unit[:-1]}.",
        f"worst: mean of the {which} tenth of {unit}.",
        "weights: those that adaptation may change.",
        "learn: seconds spent before the first new task; ms: to adapt to one task and predict its queries.",
    ]


def _selected(rows: Sequence[Row]) -> str:
    """What was tuned on meta-val, method by method; empty where nothing was."""
    lines = [f"- {row['method']}: {_values(row)}" for row in rows if row.get("selected")]
    return "\nSelected on meta_val:\n\n" + "\n".join(lines) + "\n" if lines else ""


def _values(row: Row) -> str:
    ends = {name: f" ({end} tried)" for name, end in at_an_end(row).items()}
    return ", ".join(f"{name} {value}{ends.get(name, '')}" for name, value in row["selected"].items())
