"""From a user's data to a table, a model and the command that uses it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metatl.data.examples import Examples
from metatl.transferring import asked
from metatl.transferring.applicable import applicable, readable
from metatl.transferring.backbone import Backbone
from metatl.transferring.beside import beside
from metatl.transferring.budget import Budget
from metatl.transferring.cells import Cells
from metatl.transferring.learned import learn, told
from metatl.transferring.learning import Learning
from metatl.transferring.model import SavedModel
from metatl.transferring.opened import Words, opened
from metatl.transferring.pairs import with_pairs
from metatl.transferring.pretraining import net_for
from metatl.transferring.problem import Problem, read_problem
from metatl.transferring.progress import reading, working
from metatl.transferring.protocol import protocol
from metatl.transferring.report import report
from metatl.transferring.rows import Row, named, rows, scaled
from metatl.transferring.running import missing, pace, planned, run_bodies, run_heads
from metatl.transferring.settle import as_asked, fit_all, reserve, settle, validate
from metatl.transferring.several import Aim, best, several
from metatl.transferring.source import SourceRows, distinct, ordered, source_rows
from metatl.transferring.study import Study, moving
from metatl.transferring.sweep import Sweep, swept
from metatl.transferring.teacher import learned_from, teachable, told_of
from metatl.transferring.told import told_of_additions, told_of_source
from metatl.transferring.unlabelled import check_clusters, with_clusters
from metatl.transferring.unnamed import serving, unnamed
from metatl.transferring.validation import unvalidated
from metatl.transferring.written import model_of, write
from metatl.types import MetatlError

VALIDATING = 0.7
"""Share of the minutes within which rows that move the body choose their values too."""


@dataclass(frozen=True)
class Transferring:
    """What `transfer` found: the report, the model fitted on all labelled rows, the folder with both."""

    report: dict[str, Any]
    model: SavedModel
    folder: Path
    files: tuple[str, ...]


def transfer(
    data: Any,
    net: str | Path | None = None,
    labelled: str | Sequence[int | str] | None = None,
    draws: int = 10,
    methods: str | Sequence[str] | None = None,
    minutes: float = 10.0,
    out: str | Path | None = None,
    size: int | None = None,
    seed: int = 0,
    source: Any = None,
    words: Words = Words(),
    teacher: str | Path | None = None,
    sweep: Sweep | None = None,
    source_clusters: int | None = None,
    save: str | None = None,
) -> Transferring:
    """Compare ways of transferring to your own problem, and fit the best one on all labelled rows.

    data: a folder of photos, sentences or recordings, or a table, as `opened` takes them, with `words` on its
    columns; net: the pre-trained one, by name, else the one for such data; labelled: labels of each class (of
    real values: rows), and `all`; draws: of the labelled rows; methods: rows of the table, by name, by the
    path of your own config, or as `usual` and `all`, the usual ones for None; minutes: in all, those of
    interrupted commands with the same `out` included; size: of pictures in pixels, instead of the net's
    own; source: data like `data` with other classes, whose labelled part some rows learn on first (of paths
    in a list the best, see `several`), or without labels (`unlabelled`), of which source_clusters are the
    clusters that stand for classes; teacher: a larger net, named as `net` is; sweep: rows over what is
    carried over, not the usual ones; save: the row of methods or sweep whose model is kept, not the best one.
    Writes table.md, report.json, plots and model/ into `out`; raises MetatlError where it cannot.
    """
    if draws < 1 or not minutes > 0:
        raise MetatlError("transfer: draws must be 1 or more and minutes above 0")
    said = [] if sweep and methods is None else asked.words(methods)
    names = [named(word) for word in said]
    kept = None if sweep else as_asked(save, names)  # before anything is read
    budget, (examples, usual) = Budget(60.0 * minutes), opened(data, words)
    found = readable(_rows(said, names, teacher), names, examples)
    asked.check_source(found, names, source is not None, usual is None)
    aim = Aim(usual if net is None else net, size, asked.counts(labelled, examples.targets.kind), seed)
    others, repeated = _others(source, words, examples, source_clusters, aim)
    said = unnamed(aim.counts, others, examples) if methods is None and labelled and not sweep else said
    found = with_pairs(_rows(said, names, teacher), said, words.paired, source is not None, aim.net is None)
    found, unlike = asked.columned(found, names, others, examples, aim.counts)
    made, told_of_net = net_for(
        aim.net, size, others if asked.learns_a_net(found, said) else None, examples, seed
    )
    problem, more = _read(examples, made, seed), {} if sweep is None else swept(made)
    kept = as_asked(save, names, more) if sweep else kept
    found = {name: scaled(row, made.rate, made.seen) for name, row in {**found, **more}.items()}
    able, notes = applicable(found, names, made, problem)
    possible, large = asked.possible(problem, aim.counts, able)
    able, idle = serving(able, names, possible, kept and kept.method)
    other, clustered = _source(others, problem, made, source_clusters, seed)
    (larger, taught), near = learned_from(teacher, problem), beside(able, other, problem, made)
    study = Study(problem, made, able, possible, draws, seed, teacher=taught, beside=near)
    folder = Path(out) if out is not None else Path("runs") / f"transfer-{problem.name}"
    cells = Cells.resumed(folder, asked.digests(problem, made, seed, other, larger, said))
    budget.spent = cells.spent
    try:
        study = _decided(_learned(study, other, cells, budget), cells, budget)
        _work(study, cells, budget, kept is None)
        settled = kept or settle(study, cells, budget)
        choice, fitted, scale = fit_all(study, settled.method, budget, cells)
    finally:
        cells.note(budget.gone)
    learned = None if other is None else told(study.learned, other, near is not None)
    notes = [*told_of_net, *repeated, *clustered, *unlike, *notes, *idle, *cells.stopped, *large]
    notes += [*told_of(larger), *told_of_source(study), *told_of_additions(study.rows, made)]
    table = report(study, cells, protocol(study, settled, choice, minutes, notes, learned))
    model = model_of(study, settled, choice, (fitted, scale), examples.reader)
    return Transferring(table, model, folder, write(folder, study, cells, settled, table, model))


def _rows(said: Sequence[str], names: list[str], teacher: Any) -> dict[str, Row]:
    """The rows asked for and those that they are compared with, but for those that lack a teacher."""
    return teachable(rows(asked.with_references(said)), names, teacher is not None)


def _others(
    source: Any, words: Words, examples: Examples, clusters: int | None, aim: Aim
) -> tuple[Examples | None, list[str]]:
    """The source, the best of several, without rows that are the problem's too, and notes; or nothing."""
    if source is None:
        return None, []
    found: dict[str, tuple[Examples, list[str]]] = {}
    for place in several(source):
        others = opened(place, words, strict=False)[0]
        asked.check_alike(examples, others)
        check_clusters(others, clusters)
        name = others.name if others.name not in found else str(place)
        found[name] = distinct(ordered(others, examples), examples)
    if len(found) == 1:
        return next(iter(found.values()))
    name, notes = best({name: one for name, (one, _) in found.items()}, examples, aim)
    return found[name][0], [*notes, *found[name][1]]


def _source(
    others: Examples | None, problem: Problem, net: Backbone, clusters: int | None, seed: int
) -> tuple[SourceRows | None, list[str]]:
    """What the source holds, with clusters in the place of labels that it lacks, and notes on these."""
    if others is None:
        return None, []
    found, notes = (others, []) if others.targets.known else with_clusters(others, net, clusters, seed)
    return source_rows(found, problem), notes


def _learned(study: Study, source: SourceRows | None, cells: Cells, budget: Budget) -> Study:
    """The study with what its rows learn on the source, without those that refuse; nothing without one."""
    if source is None:
        return study
    work = Learning(study.net, source, cells.folder / "source", budget, study.seed)
    learned = learn(study.rows, study.problem, work)
    return replace(study, learned=learned, rows=cells.without(study.rows, work.refused))


def _decided(study: Study, cells: Cells, budget: Budget) -> Study:
    """The study with the decision of its first command: whether rows that move the body choose values."""
    budget.forward = pace(study) if moving(study) else 0.0
    budget.source = 0 if study.beside is None else len(study.beside.y)
    if cells.validated is None:
        thorough = replace(study, validated=True)
        wanted = planned(thorough, cells, budget) + reserve(thorough, cells, budget)
        cells.validated = wanted <= VALIDATING * max(budget.left, 0.0)
        cells.note(budget.gone)
    return replace(study, validated=cells.validated)


def _read(examples: Examples, net: Backbone, seed: int) -> Problem:
    with reading("features", examples.inputs.unit) as tick:
        return read_problem(examples, net, seed, tick)


def _work(study: Study, cells: Cells, budget: Budget, validated: bool) -> None:
    """All cells, and the validation, where it says what is kept, with bars; MetatlError where no cell is."""
    unit = study.problem.unit
    total = sum(study.work(key[0], study.part(key)) for key in missing(study, cells))
    with working(budget, "transfer", unit, total) as tell:
        run_heads(study, cells, budget, tell)
        run_bodies(study, cells, budget, reserve(study, cells, budget), tell)
    if validated:
        with working(budget, "choosing what is saved", unit, unvalidated(study, cells)) as tell:
            validate(study, cells, budget, tell)
    cells.check_begun(round(budget.seconds / 60, 6))
