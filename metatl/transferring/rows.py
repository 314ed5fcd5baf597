"""The rows of the table: ways of transferring, as configs that lie inside the package."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from jsonargparse import ArgumentParser

from metatl.adapt import Adaptation, ClosedForm
from metatl.guides import SupportFisher
from metatl.guides.guide import TransferGuide
from metatl.lab import store
from metatl.lab.describe import completed, merged
from metatl.lab.experiment import with_value
from metatl.lab.instances import instance
from metatl.lab.yaml_values import yaml_values
from metatl.learners import Learner
from metatl.text import near
from metatl.transferring.schedule import Schedule
from metatl.transforms import Transform
from metatl.types import MetatlError

FOLDER = Path(__file__).parent.parent / "rows" / "transfer"
ALL, USUAL, DOMAINS = "all", "usual", "domains"
"""Words for every row, for those that run where none are named, for those that read source and target."""
REFERENCES, NO_TRANSFER = ("logistic-regression", "ridge"), "no-transfer"
"""Rows that differences are paired with, the first that fits the targets; the one that says who is harmed."""
FAMILIES = (
    *("no transfer", "names", "columns", "features", "fine-tuning", "what moves", "rates", "anchors"),
    *("added weights", "learned on a source", "source and target"),
)
"""Kinds of rows: what they do with a pre-trained net."""


@dataclass(frozen=True)
class Row:
    """A way of transferring.

    Args:
        about: what it is, in one line.
        formula: what it does, in plain text.
        source: who published it.
        family: what kind of way it is, one of FAMILIES.
        adaptation: how labelled rows are used; on frozen features where only the head moves.
        moves: the head alone, or the body too.
        reads: labelled rows, or the names of the classes, which need no label.
        on: what a head sees: features of the body, the inputs themselves (columns of a table), or `either`:
            the columns of a table, features of everything else.
        learner: what is learned on the source first; rows with the same one share what it learned.
        guide: which weights move, and how far; None for what is carried, 1 where nothing was learned.
        transform: of the net and what it carries, before the body moves; merged again afterwards.
        probe: fitted on frozen features first; its linear layer is where the output layer starts.
        teacher: fitted on a larger net's frozen features; what it says of labelled rows is learned too.
        mask: guide from the Fisher information of the labelled rows.
        taken: share of the blocks, from the input on, whose pre-trained weights are taken over; others start
            at random.
        schedule: how long the body is trained.
        select: values to choose by cross-validation inside the labelled rows.
        by: the score by which they are chosen; None for that of the table.
        usual: whether it runs where no rows are named.
        order: place in tables. A row whose adaptation has streams reads the source's rows in every fit.
    """

    about: str
    adaptation: Adaptation
    formula: str = ""
    source: str = ""
    family: str = ""
    moves: Literal["head", "body"] = "head"
    reads: Literal["labels", "names"] = "labels"
    on: Literal["features", "inputs", "either"] = "features"
    learner: Learner | None = None
    guide: TransferGuide | None = None
    transform: Transform | None = None
    probe: ClosedForm | None = None
    teacher: ClosedForm | None = None
    mask: SupportFisher | None = None
    taken: float = 1.0
    schedule: Schedule = Schedule()
    select: dict[str, list[Any]] | None = None
    by: str | None = None
    usual: bool = True
    order: int = 0

    @property
    def needs_source(self) -> bool:
        """Whether it learns on a source first, or reads its rows in every fit."""
        return self.learner is not None or bool(self.adaptation.streams)

    @property
    def needs_labels(self) -> bool:
        """Whether labelled rows must be there."""
        return self.reads == "labels" and self.adaptation.needs_labels

    def serves(self, labels: int | None) -> bool:
        """Whether it is fitted with so many labels of each class; names of classes need none."""
        return (labels == 0 or self.reads == "labels") and not (labels == 0 and self.needs_labels)


def files() -> dict[str, Path]:
    """The config of every row, by its name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def told(path: Path) -> list[str]:
    """What a row is, and its config."""
    lines = store.read_text(path, "config").rstrip().splitlines()
    return [f"{path.stem}, a row of 'metatl transfer':", *(f"  {line}" for line in lines)]


def rows(chosen: Sequence[str] = (ALL,)) -> dict[str, Row]:
    """Rows by name, or by the words 'usual', 'domains' and 'all', in the order of tables.

    Raises MetatlError for a name that is none.
    """
    known = files()
    for name in chosen:
        if name not in known and name not in (ALL, USUAL, DOMAINS):
            raise MetatlError(f"method {name!r} is none of 'metatl methods'{near(name, known)}")
    found = {
        name: row
        for name, row in ((name, read(path)) for name, path in known.items())
        if name in chosen
        or ALL in chosen
        or (USUAL in chosen and row.usual)
        or (DOMAINS in chosen and row.adaptation.streams)
    }
    return dict(sorted(found.items(), key=lambda item: item[1].order))


def scaled(row: Row, rate: float, seen: float) -> Row:
    """The row with its rates, and the rows that it sees, multiplied, where its body moves.

    So is the share of weights that a mask lets move: of a smaller net it is a larger one.
    """
    if row.moves == "head" or (rate == 1 and seen == 1):
        return row
    schedule = replace(
        row.schedule, passes=round(seen * row.schedule.passes), most=round(seen * row.schedule.most)
    )
    select = {
        path: [rate * value for value in values] if path.endswith("lr") else values
        for path, values in (row.select or {}).items()
    }
    mask = row.mask
    if mask is not None and hasattr(mask.shape, "density"):
        mask = with_value(mask, "shape.density", min(1.0, seen * cast(Any, mask.shape).density))
    adaptation = with_value(row.adaptation, "rule.lr", rate * cast(Any, row.adaptation).rule.lr)
    return replace(row, schedule=schedule, adaptation=adaptation, select=select or row.select, mask=mask)


def digest() -> str:
    """Of all rows' files: rows that were changed are other rows."""
    said = [(path.stem, store.read_text(path, "config")) for path in sorted(FOLDER.glob("*.yaml"))]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


@cache
def read(path: Path) -> Row:
    """The row of a config file, over that of its `base`, if it names one; MetatlError naming the file."""
    return parsed(_values(path), Row, str(path))


def _values(path: Path) -> dict[str, Any]:
    values = yaml_values(store.read_text(path, "config"), str(path))
    base = values.pop("base", None)
    return values if base is None else merged(_values(path.parent / base), values)


def parsed(values: Mapping[str, Any], made: type[Any], where: str) -> Any:
    """An instance from plain values, by the same rules as a config; raises MetatlError in one line."""
    logging.getLogger("jsonargparse").setLevel(logging.ERROR)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(made, None, fail_untyped=False)
    try:
        given = completed(values, made)
        return instance(made, parser, given, lambda: parser.parse_object(given))
    except MetatlError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:400]
        raise MetatlError(f"{where}: {said}") from error
