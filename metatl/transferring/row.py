"""A row of the table: a way of transferring."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from torch import Tensor

from metatl.adapt import Adaptation, ClosedForm
from metatl.adapt.scores import Score, default, named
from metatl.data.targets import SAID, Kind
from metatl.guides import SupportFisher
from metatl.guides.guide import TransferGuide
from metatl.learners import Learner
from metatl.objectives.losses import target_of
from metatl.text import near
from metatl.transferring.schedule import BodySchedule
from metatl.transforms import Transform
from metatl.types import MetatlError

BOTH = "source and target"
"""The family of rows that read the source's rows in every fit, and of no others."""
FAMILIES = (
    *("no transfer", "names", "columns", "features", "fine-tuning", "what moves", "rates", "anchors"),
    *("added weights", "learned on a source", BOTH),
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
        select: values to choose by cross-validation inside the labelled rows, or a list for some kinds of
            targets, where others do not read that value.
        by: the score by which they are chosen, or one for each kind of targets; None for that of the table.
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
    schedule: BodySchedule = BodySchedule()
    select: dict[str, list[Any] | dict[Kind, list[Any]]] | None = None
    by: str | dict[Kind, str] | None = None
    usual: bool = True
    order: int = 0

    def __post_init__(self) -> None:
        """Refuse a kind of targets that is none."""
        for said in (self.by, *(self.select or {}).values()):
            for kind in said if isinstance(said, dict) else ():
                if kind not in SAID:
                    raise MetatlError(f"{kind!r} is no kind of targets{near(kind, SAID)}")

    @property
    def needs_source(self) -> bool:
        """Whether it learns on a source first, or reads its rows in every fit."""
        return self.learner is not None or bool(self.adaptation.streams)

    @property
    def needs_labels(self) -> bool:
        """Whether labelled rows must be there."""
        return self.reads == "labels" and self.adaptation.needs_labels

    @property
    def grid(self) -> dict[str, list[Any]]:
        """What is chosen from, by the path of each value; of a row for one kind of targets (`of`)."""
        return cast(dict[str, list[Any]], self.select or {})

    def of(self, kind: Kind) -> Row:
        """The row for targets of this kind: values to choose from are lists."""
        if all(isinstance(values, list) for values in (self.select or {}).values()):
            return self
        each = {
            path: values if isinstance(values, list) else values.get(kind)
            for path, values in (self.select or {}).items()
        }
        return replace(self, select={path: values for path, values in each.items() if values} or None)

    def chosen_by(self, y: Tensor) -> Score:
        """The score by which values are chosen, for targets like y; MetatlError for an unknown name."""
        by = self.by.get(target_of(y)) if isinstance(self.by, dict) else self.by
        return default(y) if by is None else named(by)

    def serves(self, labels: int | None) -> bool:
        """Whether it is fitted with so many labels of each class; names of classes need none."""
        return (labels == 0 or self.reads == "labels") and not (labels == 0 and self.needs_labels)
