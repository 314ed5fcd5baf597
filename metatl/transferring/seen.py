"""Single predictions on a page: confusion, calibration, and the surest mistakes with their inputs."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from metatl.data.examples import Shown
from metatl.lab.render import html
from metatl.lab.render.html import Section
from metatl.transferring.mistakes import Named, surest
from metatl.transferring.study import Study

MOST, SIDE = 12, 240
"""Mistakes that are shown, and pixels of a picture's longer side."""
CELLS, LETTERS = 12, 400
"""Columns of a row, and letters of a text, that are shown."""


def predictions(study: Study, named: Named) -> list[Section]:
    """Sections on what one row of the table said of the rows that judge."""
    names, truth = study.problem.targets.names, study.problem.task.labels[named.places]
    counts = np.zeros((len(names), len(names)), np.int64)
    np.add.at(counts, (truth, named.predicted), 1)
    unit, said = study.problem.unit, f"{named.method}, {named.labels}"
    sections = [
        Section(f"Confusion on the {unit}s that judge ({said})", html.confusion(counts, names)),
        Section("Calibration", html.calibration(named.probability, named.predicted == truth)),
    ]
    held = [_example(study, named, int(i)) for i in surest(study, named)[:MOST]]
    return [*sections, Section("The surest mistakes", html.examples(held))] if held else sections


def _example(study: Study, named: Named, i: int) -> tuple[bytes | str | Sequence[tuple[str, str]], str]:
    names, at = study.problem.targets.names, int(named.places[i])
    true, said = names[study.problem.task.labels[at]], names[named.predicted[i]]
    caption = f"{said} {100 * named.probability[i]:.0f} %, is {true} ({study.problem.inputs.ids[at]})"
    return _small(study.problem.inputs.shown(at)), caption


def _small(one: Shown) -> bytes | str | Sequence[tuple[str, str]]:
    """A thumbnail, the beginning of a text, the first columns of a row."""
    if isinstance(one, Image.Image):
        small, content = one.copy(), io.BytesIO()
        small.thumbnail((SIDE, SIDE))
        small.convert("RGB").save(content, "JPEG", quality=80)
        return content.getvalue()
    if isinstance(one, str):
        return one if len(one) <= LETTERS else one[:LETTERS] + " ..."
    return list(one)[:CELLS]
