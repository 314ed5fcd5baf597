"""report.html of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.lab.render import html
from metatl.lab.render.calibrated import SureTable, calibrated_tables
from metatl.lab.render.ends import at_an_end
from metatl.lab.render.groups import groups_cells
from metatl.lab.render.html import Html, Section
from metatl.lab.render.reports.measure import Measure
from metatl.lab.render.reports.origin import command_words
from metatl.lab.render.reports.plots import means, spread
from metatl.lab.render.tables import as_cells, p_value, plus_minus

Row = Mapping[str, Any]


def benchmark_page(
    rows: Sequence[Row],
    protocol: Mapping[str, Any],
    scores: Mapping[str, NDArray[np.float64]],
    words: Sequence[str] = (),
    groups: Sequence[Row] = (),
) -> str:
    """The page of a table of methods.

    rows, protocol: as `compare` has them; scores: of every episode, by method; words: of the command;
    groups: as `compare.by_group` has them, where tasks are groups.
    """
    measure = Measure.of(protocol)
    sections = [
        Section("", _headline(rows, protocol, measure)),
        Section("Methods", _table(rows, protocol, measure)),
        *([Section("By group", _groups(groups))] if groups else []),
        *(Section(table.title, _calibrated(table, cells)) for table, cells in calibrated_tables(rows)),
        Section("Means and episodes", _plots(rows, protocol, scores, measure)),
        Section("What was chosen", _chosen(rows, measure)),
        Section("Notes", html.notes(_notes(rows))),
        Section("What it belongs to", _origin(rows, protocol)),
        Section("The command that repeats it", html.command(command_words(words))),
    ]
    return html.page(f"{len(rows)} methods on {protocol.get('data', 'data')}", sections)


def _best(rows: Sequence[Row], measure: Measure) -> Row:
    return (max if measure.higher else min)(rows, key=lambda row: row[measure.name])


def _headline(rows: Sequence[Row], protocol: Mapping[str, Any], measure: Measure) -> Html:
    best, reference = _best(rows, measure), protocol.get("reference")
    said = (
        f"{measure.name} of {best['method']}, the best mean of {len(rows)} methods on the same "
        f"{protocol.get('episodes')} {protocol.get('split')} episodes of {protocol.get('data')}; "
        "±: 95 % interval, Student's t over episodes."
    )
    if best["method"] != reference and best.get("difference") is not None:
        gap = plus_minus(best["difference"], best.get("difference_ci95"), measure.places, "+")
        said += f" Difference to {reference}: {gap}, p {p_value(best.get('p'))} (Holm)."
    return html.headline(measure.said(best[measure.name], best["ci95"]), said)


def _plots(
    rows: Sequence[Row],
    protocol: Mapping[str, Any],
    scores: Mapping[str, NDArray[np.float64]],
    measure: Measure,
) -> Html:
    found = {row["method"]: (row[measure.name], row["ci95"]) for row in rows}
    reference = protocol.get("reference")
    mean = html.figure(
        means(found, measure.titled, reference),
        f"Means with their 95 % intervals; dashed: {reference}. Intervals that overlap may still be of "
        "methods that differ on the same episodes: the table's p says so.",
    )
    if not scores:
        return mean
    own = {name: measure.scaled(values) for name, values in scores.items()}
    told = "Over episodes: tenth to ninetieth percentile (thin), quartiles (thick), median (dot)."
    return html.side_by_side(mean, html.figure(spread(own, measure.titled), told))


def _table(rows: Sequence[Row], protocol: Mapping[str, Any], measure: Measure) -> Html:
    headings, cells, notes = as_cells(rows, protocol)
    best = [row[measure.name] == _best(rows, measure)[measure.name] for row in rows]
    keys = [str(place) for place in range(len(headings))]
    held = [{**dict(zip(keys, line, strict=True)), "best": b} for line, b in zip(cells, best, strict=True)]
    table = html.table(held, dict(zip(keys, headings, strict=True)), strong=lambda row: row["best"])
    return html.joined((table, html.folded("what the columns say", html.notes(notes))))


def _groups(rows: Sequence[Row]) -> Html:
    """Over groups, and every one of them."""
    head, body, names, each = groups_cells(rows)
    return html.joined((_plain(head, body), html.folded("every group", _plain(names, each))))


def _calibrated(table: SureTable, cells: Sequence[Sequence[str]]) -> Html:
    return html.joined((_plain(table.head, cells), html.notes([table.note])))


def _plain(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> Html:
    keys = [str(place) for place in range(len(headings))]
    held = [dict(zip(keys, line, strict=True)) for line in cells]
    return html.table(held, dict(zip(keys, headings, strict=True)))


def _chosen(rows: Sequence[Row], measure: Measure) -> Html:
    found = [
        {
            "method": row["method"],
            "value": name,
            "chosen": value,
            "tried": [option["values"].get(name) for option in row.get("selection") or []],
            "end": f"{end} tried" if (end := at_an_end(row).get(name)) else "",
        }
        for row in rows
        for name, value in (row.get("selected") or {}).items()
    ]
    on = html.paragraph("Chosen on meta_val episodes; the method's own report says what each value scored.")
    columns = {"method": "method", "value": "value", "chosen": "chosen", "tried": "tried", "end": ""}
    return html.joined((on, html.table(found, columns))) if found else Html()


def _notes(rows: Sequence[Row]) -> list[str]:
    """What a reader should know before relying on the table."""
    said = [
        f"{row['method']}: the chosen {name} is the {end} that was tried; a wider `select` may do better."
        for row in rows
        for name, end in at_an_end(row).items()
    ]
    return said + [
        f"{row['method']}: {row['diverged']} of {row['episodes']} episodes diverged and count as wrong."
        for row in rows
        if row.get("diverged")
    ]


def _origin(rows: Sequence[Row], protocol: Mapping[str, Any]) -> Html:
    runs = [{key: row.get(key) for key in ("method", "learned", "evaluation")} for row in rows]
    columns = {"method": "method", "learned": "run", "evaluation": "evaluation"}
    said = {name: value for name, value in protocol.items() if value is not None}
    return html.joined((html.facts(said), html.folded("the runs", html.table(runs, columns))))
