"""One row of `metatl transfer` beside others on the same draws and rows, from a finished table's cells."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.evaluation.crossed import Range, crossed
from metatl.evaluation.statistics import holm
from metatl.lab.render.tables import p_value

HEAD = (
    "| target | labels | {row}, % | beside | difference, points | p (Holm) | draws |\n"
    "| --- | ---: | ---: | --- | ---: | ---: | ---: |\n"
)


def table(
    folders: Mapping[str, Path], row: str, others: Sequence[str], labelled: Sequence[str], folds: int = 1
) -> str:
    """A line for every target, number of labels and other row; p corrected over all of them.

    folders: of `metatl transfer`, by target. Only draws that both rows have count; Student's t over draws
    and rows that judge (`crossed`), no interval of fewer than three. folds: draw d is judged on
    the rows of fold d modulo this number, as where there is no test part.
    """
    found: list[tuple[list[str], Range, int]] = []
    for target, folder in folders.items():
        for k in labelled:
            own = _draws(folder, row, k)
            for other in others:
                beside = _draws(folder, other, k)
                both = [draw for draw in own if draw in beside]
                if both:
                    mine, theirs = (_matrix(side, both, folds) for side in (own, beside))
                    said = [target, k, f"{100 * np.nanmean(mine, 1).mean():.1f}", other]
                    found.append((said, crossed(mine - theirs, -1.0), len(both)))
    corrected = holm([one.p for _, one, _ in found])
    lines = [
        f"| {' | '.join([*said, _said(one), p_value(p), str(draws)])} |"
        for (said, one, draws), p in zip(found, corrected, strict=True)
    ]
    return HEAD.format(row=row) + "\n".join(lines) + "\n"


def _matrix(scores: Mapping[int, list[float]], draws: Sequence[int], folds: int) -> NDArray[np.float64]:
    """[draws, rows] with NaN where a row does not judge."""
    sizes = [next((len(scores[draw]) for draw in draws if draw % folds == fold), 0) for fold in range(folds)]
    begin = np.concatenate([[0], np.cumsum(sizes)])
    made = np.full((len(draws), int(begin[-1])), np.nan)
    for place, draw in enumerate(draws):
        made[place, begin[draw % folds] : begin[draw % folds + 1]] = scores[draw]
    return made


def _draws(folder: Path, row: str, k: str) -> dict[int, list[float]]:
    """The scores of the rows that judge, by draw; nothing where the row is not there."""
    file = folder / "cells" / f"{row}~{k}.json"
    held: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return dict(sorted((int(draw), cell["scores"]) for draw, cell in held.items()))


def _said(one: Range) -> str:
    ends = "" if one.ci95 is None else f" [{100 * one.ci95[0]:.1f}, {100 * one.ci95[1]:.1f}]"
    return f"{100 * one.mean:+.1f}{ends}"
