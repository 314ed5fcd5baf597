"""What a command leaves: the model, tables, plots."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from metatl.data.examples import Reader
from metatl.data.table_rows import TableReader
from metatl.data.tables import Encoder
from metatl.lab import render, store
from metatl.lab.render.html import Section
from metatl.transferring import mistakes, plots, sweep, tables
from metatl.transferring.backbone import no_net
from metatl.transferring.beside import reads_on
from metatl.transferring.cells import Cells
from metatl.transferring.choose import Choice
from metatl.transferring.fit import Model
from metatl.transferring.judging import Scale
from metatl.transferring.model import SavedModel, saved_model
from metatl.transferring.page import page
from metatl.transferring.seen import predictions
from metatl.transferring.settle import Settled
from metatl.transferring.study import Study


def model_of(
    study: Study, settled: Settled, choice: Choice, fitted: tuple[Model, Scale], reader: Reader
) -> SavedModel:
    """The settled row, fitted on all labelled rows, with what it needs around it."""
    problem, net = study.problem, study.start(settled.method)
    made = {
        "method": settled.method,
        "chosen": settled.how,
        "selected": choice.selected,
        f"{problem.unit}s": len(problem.task.pool),
        "seed": study.seed,
        "net": net.facts["net"],
        "weights_sha256": net.facts["weights_sha256"],
    }
    row, near = study.rows[settled.method], study.beside
    if row.adaptation.streams and near is not None and (seen := near.seen[reads_on(row, problem)]).encoder:
        net = replace(no_net(), preparation=seen.encoder)
    elif not net.moves or row.on == "inputs":
        net = replace(no_net(), preparation=Encoder.fit(problem.inputs.columns.take(study.everything())))
    if isinstance(reader, TableReader):
        reader = reader.of_use(getattr(net.preparation, "columns", ()))
    told = problem.targets.kind, problem.targets.names, reader
    return saved_model(net, *fitted, told, made)


def write(
    folder: Path, study: Study, cells: Cells, settled: Settled, found: dict[str, Any], model: SavedModel
) -> tuple[str, ...]:
    """The files that were written."""
    store.write_json(folder / "report.json", found)
    store.write_text(folder / "table.md", tables.markdown(found))
    figures, sections = {"plot.png": render.png(plots.scores(found))}, list[Section]()
    if sweep.points(found):
        figures["sweep.png"] = render.png(sweep.picture(found))
    named = mistakes.named(study, cells, settled.method)
    if named is not None:
        figures["confusion.png"] = render.png(mistakes.confusion(study, named))
        if mistakes.pictured(study):
            figures["mistakes.png"] = render.png(mistakes.mistakes(study, named))
        sections = predictions(study, named)
    for name, content in figures.items():
        store.write_atomic(folder / name, content)
    store.write_text(folder / "report.html", page(found, figures, sections))
    model.save(folder / "model")
    return "report.html", "table.md", "report.json", *figures, "model/"
