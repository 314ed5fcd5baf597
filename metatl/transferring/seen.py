"""Single predictions on a page: confusion, calibration, and the surest mistakes with their inputs."""

from __future__ import annotations

from metatl.lab.render import html
from metatl.lab.render.html import Section
from metatl.lab.render.reports import MOST, Mistake, confusion, mistakes
from metatl.transferring.mistakes import Named, surest
from metatl.transferring.study import Study


def predictions(study: Study, named: Named) -> list[Section]:
    """Sections on what one row of the table said of the rows that judge."""
    names, truth = study.problem.targets.names, study.problem.task.labels[named.places]
    counts = confusion(names, truth, named.predicted)
    unit, said = study.problem.unit, f"{named.method}, {named.labels}"
    return [
        Section(f"Confusion on the {unit}s that judge ({said})", counts),
        Section("Calibration", html.calibration(named.probability, named.predicted == truth)),
        mistakes(_mistake(study, named, int(i)) for i in surest(study, named)[:MOST]),
    ]


def _mistake(study: Study, named: Named, i: int) -> Mistake:
    names, at = study.problem.targets.names, int(named.places[i])
    said, true = names[named.predicted[i]], names[study.problem.task.labels[at]]
    inputs = study.problem.inputs
    return Mistake(html.small(inputs.shown(at)), said, float(named.probability[i]), true, inputs.ids[at])
