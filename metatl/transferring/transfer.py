"""From a folder of photos to a table, a model and the command that uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metatl.lab import render, store
from metatl.lab.record.console import Console
from metatl.transferring import asked, mistakes, plots, tables
from metatl.transferring.backbone import Backbone, backbone, forward
from metatl.transferring.budget import Budget
from metatl.transferring.cells import Cells
from metatl.transferring.choose import Choice
from metatl.transferring.fit import Model
from metatl.transferring.learned import learn, told
from metatl.transferring.learning import Learning
from metatl.transferring.model import PhotoModel, photo_model
from metatl.transferring.problem import Problem, read_problem
from metatl.transferring.protocol import protocol
from metatl.transferring.report import report
from metatl.transferring.rows import rows
from metatl.transferring.settle import Settled, fit_all, reserve, settle, validate
from metatl.transferring.source import SourcePhotos, read_source
from metatl.transferring.study import Study, missing, moving, planned, run_bodies, run_heads
from metatl.types import MetatlError

LABELLED, NET, VALIDATING = "1,2,5,10,all", "efficientnet_lite0", 0.7
"""Defaults, and the share of the minutes within which rows that move the body choose their values too."""


@dataclass(frozen=True)
class Transferring:
    """What `transfer` found: the report, the model fitted on all labelled photos, the folder with both."""

    report: dict[str, Any]
    model: PhotoModel
    folder: Path


def transfer(
    photos: str | Path,
    net: str | Path = NET,
    labelled: str | Sequence[int | str] = LABELLED,
    draws: int = 10,
    methods: str | Sequence[str] | None = None,
    minutes: float = 10.0,
    out: str | Path | None = None,
    size: int | None = None,
    seed: int = 0,
    source: str | Path | None = None,
) -> Transferring:
    """Compare ways of transferring a net to photos, and fit the best one on all labelled photos.

    photos: `<class>/*.jpg` or `train|val|test/<class>/`; labelled: labels of each class, and `all`; draws: of
    the labelled photos; methods: rows of the table, all for None; minutes: in all, those of interrupted
    commands with the same `out` included; size: of pictures in pixels, instead of the net's own; source: a
    folder like `photos` with other classes, whose labelled part some rows learn on first. Writes table.md,
    report.json, plot.png, confusion.png, mistakes.png and model/ into `out`. Raises MetatlError in
    one line for whatever cannot work.
    """
    counts, names = asked.counts(labelled), asked.names(methods)
    if draws < 1 or not minutes > 0:
        raise MetatlError("transfer: draws must be 1 or more and minutes above 0")
    chosen_rows = asked.sourced(rows(names), names is not None, source is not None)
    budget, made = Budget(60.0 * minutes), backbone(net, size)
    chosen_rows, notes = asked.applicable(chosen_rows, names is not None, made)
    problem = _read(Path(photos), made, seed)
    chosen_rows, small = asked.large_enough(chosen_rows, names is not None, made, len(problem.classes))
    possible, large = asked.possible(problem, counts)
    notes = [*notes, *small, *large]
    other = None if source is None else read_source(Path(source), problem)
    study = Study(problem, made, chosen_rows, possible, draws, seed)
    folder = Path(out) if out is not None else Path("runs") / f"transfer-{Path(photos).resolve().name}"
    cells = Cells.resumed(folder, asked.digests(problem, made, seed, other))
    budget.spent = cells.spent
    try:
        study = _learned(study, other, folder, budget)
        study = _decided(study, cells, budget)
        _work(study, cells, budget)
        settled = settle(study, cells)
        choice, fitted = fit_all(study, settled.method)
    finally:
        cells.note(budget.gone)
    learned = None if other is None else told(study.learned, other)
    facts = protocol(study, settled, choice, Path(photos), minutes, notes, learned)
    found = report(study, cells, facts)
    model = _model(study, settled, choice, fitted)
    _write(folder, study, cells, settled, found, model)
    return Transferring(found, model, folder)


def _learned(study: Study, source: SourcePhotos | None, folder: Path, budget: Budget) -> Study:
    """The study with what its rows learn on the source; nothing without one."""
    if source is None:
        return study
    work = Learning(study.net, source, folder / "source", budget, study.seed)
    return replace(study, learned=learn(study.rows, study.problem, work))


def _decided(study: Study, cells: Cells, budget: Budget) -> Study:
    """The study with the decision of its first command: whether rows that move the body choose values."""
    budget.forward = _pace(study) if moving(study) else 0.0
    if cells.validated is None:
        thorough = replace(study, validated=True)
        wanted = planned(thorough, cells, budget) + reserve(thorough, cells, budget)
        cells.validated = wanted <= VALIDATING * max(budget.left, 0.0)
        cells.note(budget.gone)
    return replace(study, validated=cells.validated)


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
    """All cells and the validation, with a bar of photos' worth of work."""
    total = max(1, sum(study.work(key[0], study.part(key)) for key in missing(study, cells)))
    bar, done, began = Console(total, label="transfer", unit="photo"), [0], budget.gone
    seconds = max(budget.left, 1e-9)

    def tell(work: int) -> None:
        done[0] += work
        share = min(1.0, (budget.gone - began) / seconds)  # where the minutes end before the work does
        bar.tick(min(total, max(done[0], int(share * total))))

    try:
        run_heads(study, cells, budget, tell)
        run_bodies(study, cells, budget, reserve(study, cells, budget), tell)
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


def _model(study: Study, settled: Settled, choice: Choice, fitted: Model) -> PhotoModel:
    net = study.start(settled.method)
    made = {
        "method": settled.method,
        "chosen": settled.how,
        "selected": choice.selected,
        "photos": len(study.problem.task.pool),
        "seed": study.seed,
        "net": net.facts["net"],
        "weights_sha256": net.facts["weights_sha256"],
    }
    return photo_model(net, fitted, study.problem.classes, made)


def _write(
    folder: Path, study: Study, cells: Cells, settled: Settled, found: dict[str, Any], model: PhotoModel
) -> None:
    store.write_json(folder / "report.json", found)
    store.write_text(folder / "table.md", tables.markdown(found))
    store.write_atomic(folder / "plot.png", render.png(plots.scores(found)))
    judged = mistakes.judged(study, cells, settled.method)
    if judged is not None:
        store.write_atomic(folder / "confusion.png", render.png(mistakes.confusion(study, judged)))
        store.write_atomic(folder / "mistakes.png", render.png(mistakes.mistakes(study, judged)))
    model.save(folder / "model")
