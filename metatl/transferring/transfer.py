"""From a folder of photos to a table, a model and the command that uses it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from metatl import render, store
from metatl.provenance import provenance
from metatl.record.console import Console
from metatl.transferring import plots, tables
from metatl.transferring.backbone import Backbone, backbone, forward
from metatl.transferring.budget import Budget
from metatl.transferring.cells import ALL, Cells
from metatl.transferring.choose import Choice
from metatl.transferring.fit import Model
from metatl.transferring.model import PhotoModel, Transferred
from metatl.transferring.problem import Problem, read_problem
from metatl.transferring.report import report
from metatl.transferring.rows import REFERENCE, rows
from metatl.transferring.settle import Settled, fit_all, reserve, settle, validate
from metatl.transferring.study import Study, missing, planned, run
from metatl.types import MetatlError

LABELLED, NET = "1,2,5,10,all", "efficientnet_lite0"


@dataclass(frozen=True)
class Transferring:
    """What `transfer` found: the report, the model fitted on all labelled photos, the folder with both."""

    report: dict[str, Any]
    model: PhotoModel
    folder: Path


def transfer(
    photos: str | Path,
    net: str = NET,
    labelled: str | Sequence[int | str] = LABELLED,
    draws: int = 10,
    methods: str | Sequence[str] | None = None,
    minutes: float = 10.0,
    out: str | Path | None = None,
    size: int | None = None,
    seed: int = 0,
) -> Transferring:
    """Compare ways of transferring a net to photos, and fit the best one on all labelled photos.

    photos: `<class>/*.jpg` or `train|val|test/<class>/`; labelled: labels of each class, and `all`; draws: of
    the labelled photos; methods: rows of the table, all for None; minutes: in all, those of interrupted
    commands with the same `out` included; size: of pictures in pixels, instead of the net's own. Writes
    table.md, report.json, plot.png, confusion.png, mistakes.png and model/ into `out`. Raises MetatlError in
    one line for whatever cannot work.
    """
    counts, names = _counts(labelled), _names(methods)
    if draws < 1 or not minutes > 0:
        raise MetatlError("transfer: draws must be 1 or more and minutes above 0")
    chosen_rows = rows(names)
    folder = Path(out) if out is not None else Path("runs") / f"transfer-{Path(photos).resolve().name}"
    made = backbone(net, size)
    budget = Budget(60.0 * minutes)
    problem = _read(Path(photos), made, seed)
    possible, notes = _possible(problem, counts)
    study = Study(problem, made, chosen_rows, possible, draws, seed)
    digests = _digests(problem, made, seed)
    cells = Cells.open(folder, digests)
    budget.spent = cells.spent
    try:
        _work(study, cells, budget)
        settled = settle(study, cells)
        choice, fitted = fit_all(study, settled.method)
    finally:
        cells.note(digests, budget.gone)
    model = _model(study, settled, choice, fitted)
    told = _protocol(study, settled, choice, Path(photos), minutes, notes)
    found = report(study, cells, told)
    _write(folder, study, cells, settled, found, model)
    return Transferring(found, model, folder)


def _read(photos: Path, net: Backbone, seed: int) -> Problem:
    bars: list[Console] = []

    def tick(done: int, total: int) -> None:
        if not bars:
            bars.append(Console(total, label="features", unit="photo"))
        bars[0].tick(done)

    try:
        return read_problem(photos, net, seed, tick)
    finally:
        for bar in bars:
            bar.close()


def _work(study: Study, cells: Cells, budget: Budget) -> None:
    """All cells and the validation, with a bar of seconds."""
    moving = any(row.moves == "body" for row in study.rows.values())
    budget.forward = _pace(study) if moving and missing(study, cells) else 0.0
    kept = reserve(study, budget)
    total = int(min(budget.seconds, budget.gone + planned(study, cells, budget) + kept)) + 1
    bar = Console(total, start=min(int(budget.gone), total), label="transfer", unit="s")

    def tell(what: str) -> None:
        bar.tick(min(int(budget.gone), total))

    try:
        run(study, cells, budget, kept, tell)
        validate(study, cells, budget, tell)
    finally:
        bar.close()


def _pace(study: Study) -> float:
    """Seconds of a forward pass of one photo, the better of two measurements."""
    few = study.problem.pictures.some(study.problem.task.pool[:8])
    body, timer, found = study.net.body(), Budget(0.0), [float("inf")]
    for _ in range(2):
        before = timer.gone
        forward(body, few)
        found.append((timer.gone - before) / len(few))
    return min(found)


def _counts(labelled: str | Sequence[int | str]) -> list[int | None]:
    words = labelled.split(",") if isinstance(labelled, str) else [str(word) for word in labelled]
    found: set[int | None] = set()
    for word in words:
        word = word.strip()
        if word != ALL and not (word.isdecimal() and int(word) > 0):
            raise MetatlError(f"labelled: {word!r} is no number of labels; give 1,2,5,all say")
        found.add(None if word == ALL else int(word))
    return sorted(found, key=lambda k: float("inf") if k is None else k)


def _names(methods: str | Sequence[str] | None) -> list[str] | None:
    """The rows asked for, and the reference, without which nothing is compared."""
    if methods is None:
        return None
    words = methods.split(",") if isinstance(methods, str) else list(methods)
    return list(dict.fromkeys([*(word.strip() for word in words), REFERENCE]))


def _possible(problem: Problem, counts: Sequence[int | None]) -> tuple[list[int | None], list[str]]:
    """The numbers of labels that every class has, and a note on those that are too large."""
    most = problem.task.most
    found = [k for k in counts if k is None or k <= most]
    large = ", ".join(str(k) for k in counts if k is not None and k > most)
    if not found:
        raise MetatlError(f"labelled: the smallest class has {most} photos to learn from; {large} is too many")
    note = f"{large} labels of each class are left out: the smallest class has {most} photos to learn from."
    return found, [note] if large else []


def _digests(problem: Problem, net: Backbone, seed: int) -> dict[str, str]:
    """What cells depend on, beside their own row, number of labels and draw."""

    def digest(value: Any) -> str:
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]

    photos = [problem.classes, problem.labels.tolist(), problem.digests, problem.task.pool.tolist()]
    ways = {name: row.digest for name, row in rows().items()}
    return {"photos": digest(photos), "net or size": net.key, "seed": str(seed), "methods": digest(ways)}


def _model(study: Study, settled: Settled, choice: Choice, fitted: Model) -> PhotoModel:
    net = study.net
    body = fitted.body if fitted.body is not None else net.body()
    made = {
        "method": settled.method,
        "chosen": settled.how,
        "selected": choice.selected,
        "photos": len(study.problem.task.pool),
        "seed": study.seed,
        "net": net.facts["net"],
        "weights_sha256": net.facts["weights_sha256"],
    }
    module = Transferred(body, fitted.readout)
    return PhotoModel(module, study.problem.classes, net.prepare, net.recipe, net.head, made)  # pyright: ignore[reportArgumentType]


def _protocol(
    study: Study, settled: Settled, choice: Choice, photos: Path, minutes: float, notes: list[str]
) -> dict[str, Any]:
    problem, came = study.problem, provenance("cpu")
    parts = {
        "test": "test/, looked at once; train/ and val/ are labelled",
        "val": "val/, looked at once",
        "folds": f"{problem.task.test is None and problem.task.folds} stratified folds: draw d is judged on fold d",
    }
    twins = f"{problem.twins} test photos have the bytes of a labelled one."
    return {
        "data": photos.resolve().name,
        "classes": list(problem.classes),
        "photos_labelled": len(problem.task.pool),
        "photos_test": len(problem.labels) - len(problem.task.pool) or len(problem.labels),
        "test_part": parts[problem.part],
        **study.net.facts,
        "seed": study.seed,
        "draws": study.draws,
        "labelled": [ALL if k is None else k for k in study.labelled],
        "minutes": minutes,
        "mode": "inductive",
        "reference": REFERENCE,
        "saved": {
            "method": settled.method,
            "how": settled.how,
            "selected": choice.selected,
            "validation": settled.score,
        },
        "unreadable": list(problem.unreadable),
        "notes": [*notes, *([twins] if problem.twins else [])],
        "versions": {name: one for name, one in came["versions"].items() if one},
        "commit": came["commit"],
        "threads": torch.get_num_threads(),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }


def _write(
    folder: Path, study: Study, cells: Cells, settled: Settled, found: dict[str, Any], model: PhotoModel
) -> None:
    store.write_json(folder / "report.json", found)
    store.write_text(folder / "table.md", tables.markdown(found))
    store.write_atomic(folder / "plot.png", render.png(plots.scores(found)))
    judged = plots.judged(study, cells, settled.method)
    if judged is not None:
        store.write_atomic(folder / "confusion.png", render.png(plots.confusion(study, judged)))
        store.write_atomic(folder / "mistakes.png", render.png(plots.mistakes(study, judged)))
    model.save(folder / "model")
