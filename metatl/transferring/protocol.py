"""The protocol: what a report was taken on, and how."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from metatl.lab.provenance import provenance
from metatl.transferring.cells import ALL
from metatl.transferring.choose import Choice
from metatl.transferring.settle import Settled
from metatl.transferring.study import Study


def protocol(
    study: Study,
    settled: Settled,
    choice: Choice,
    minutes: float,
    notes: Sequence[str],
    source: tuple[dict[str, Any], list[str]] | None = None,
) -> dict[str, Any]:
    """Plain values: data, net, weights, preparation, seed, draws, test part, mode, versions, command.

    source: what was learned there, and notes on it.
    """
    problem, came = study.problem, provenance("cpu")
    folds, unit, rows = (
        problem.task.folds if problem.task.test is None else 0,
        problem.unit,
        len(problem.digests),
    )
    how = "stratified folds" if problem.targets.kind == "classes" else "folds"
    how = how if problem.task.group is None else "folds of whole groups"
    parts = {
        "test": "test, looked at once; train and val are labelled",
        "val": "val, looked at once",
        "folds": f"{folds} {how} of the labelled {unit}s: draw d is judged on fold d",
    }
    twins = f"{problem.twins} {unit}s that judge have the content of a labelled one."
    return {
        "data": problem.name,
        "unit_of_data": unit,
        "targets": problem.targets.kind,
        "classes": list(problem.targets.names),
        "labelled_rows": len(problem.task.pool),
        "judging_rows": rows - len(problem.task.pool) or rows,
        "test_part": parts[problem.part],
        **study.net.facts,
        "seed": study.seed,
        "draws": study.draws,
        "labelled": [ALL if k is None else k for k in study.labelled],
        "minutes": minutes,
        "mode": "inductive",
        "reference": study.reference,
        "saved": {
            "method": settled.method,
            "how": settled.how,
            "selected": choice.selected,
            "validation": settled.score,
        },
        "left_out": list(problem.left_out),
        "notes": [
            *problem.notes,
            *notes,
            *([twins] if problem.twins else []),
            *(source[1] if source else []),
        ],
        **({"source": source[0]} if source else {}),
        "versions": {name: one for name, one in came["versions"].items() if one},
        "commit": came["commit"],
        "threads": torch.get_num_threads(),
        "command": [Path(word).name if i < 2 else word for i, word in enumerate(came["command"])],
    }
