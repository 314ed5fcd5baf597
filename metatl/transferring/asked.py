"""What a command asks for: numbers of labels, rows, and what its cells depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from metatl.data.examples import Examples
from metatl.data.targets import Kind
from metatl.transferring import rows
from metatl.transferring.backbone import Backbone
from metatl.transferring.cells import ALL
from metatl.transferring.problem import Problem
from metatl.transferring.rows import REFERENCES, Row
from metatl.transferring.shared_columns import UNLIKE
from metatl.transferring.source import SourceRows
from metatl.types import MetatlError

LABELLED: Mapping[Kind, str] = {
    "classes": "0,1,2,5,10,all",
    "labels": "10,20,50,100,all",
    "real": "10,20,50,100,all",
}
"""Numbers of labelled rows where none are asked for: of each class, or in all."""


def counts(labelled: str | Sequence[int | str] | None, kind: Kind) -> list[int | None]:
    """Labels of each class, smaller ones first, None for all; raises MetatlError for other words.

    Of labels and real values, which have no classes to draw from, numbers of rows.
    """
    labelled = LABELLED[kind] if labelled is None else labelled
    words = labelled.split(",") if isinstance(labelled, str) else [str(word) for word in labelled]
    found: set[int | None] = set()
    for word in words:
        word = word.strip()
        if word != ALL and not word.isdecimal():
            raise MetatlError(f"labelled: {word!r} is no number of labels; give 1,2,5,all, say")
        found.add(None if word == ALL else int(word))
    return sorted(found, key=lambda k: float("inf") if k is None else k)


def words(methods: str | Sequence[str] | None) -> list[str]:
    """The rows asked for, by name or by the words that stand for several; the usual ones for None."""
    if methods is None:
        return [rows.USUAL]
    said = methods.split(",") if isinstance(methods, str) else list(methods)
    return list(dict.fromkeys(rows.spelt(word.strip()) for word in said))


def with_references(words: Sequence[str]) -> list[str]:
    """The rows asked for and those that others are compared with."""
    return list(dict.fromkeys([*words, *REFERENCES]))


def check_source(found: Mapping[str, Row], named: Sequence[str], source: bool, columns: bool) -> None:
    """Raise MetatlError for a row asked for by name that lacks its source, and for a source without a use.

    columns: whether the source is what the net itself is learned on.
    """
    needing = [name for name, row in found.items() if row.needs_source]
    asked_for = [name for name in needing if name in named]
    if asked_for and not source:
        raise MetatlError(
            f"method {asked_for[0]!r} {_does(found[asked_for[0]])}; give it with --source (source=... in "
            "Python)"
        )
    if source and not needing and not columns:
        raise MetatlError(f"source: none of {', '.join(found)} learns on a source; leave --source out")


def check_alike(examples: Examples, source: Examples | None) -> None:
    """Raise MetatlError for a source of something else: photos beside sentences, say."""
    if source is None:
        return
    one, other = examples.inputs, source.inputs
    if one.unit != other.unit or (one.columns is None) != (other.columns is None):
        raise MetatlError(f"source: it holds {other.unit}s, and the data are {one.unit}s; give more of these")


def sourced(found: Mapping[str, Row], named: Sequence[str], source: Examples | None) -> dict[str, Row]:
    """The rows that have the source they need: of classes, where they learn on it; labelled, to read it.

    Rows without labels get clusters for classes. Raises MetatlError for one that was asked for, and finds
    none.
    """
    known = source is not None and source.targets.known
    classes = source is not None and (source.targets.kind == "classes" or not known)
    needing = [name for name, row in found.items() if row.learner is not None and name in named]
    if needing and not classes:
        raise MetatlError(f"method {needing[0]!r} learns on tasks of classes, and the source has none")
    reading = [name for name, row in found.items() if row.adaptation.streams and source is not None]
    if (asked_for := [name for name in reading if {name, rows.DOMAINS} & {*named}]) and not known:
        raise MetatlError(f"method {asked_for[0]!r} reads the labels of the source, and it has none")
    return {
        name: row
        for name, row in found.items()
        if not row.needs_source or (classes if row.learner is not None else known)
    }


def columned(
    found: Mapping[str, Row],
    named: Sequence[str],
    source: Examples | None,
    problem: Examples,
    counts: Sequence[int | None],
) -> tuple[dict[str, Row], list[str]]:
    """The rows that have the source they need and can read its columns, and a note on the others.

    One that was asked for by name stays, and is refused where it reads (`beside`). Raises MetatlError where
    no label is asked for, which the others need.
    """
    found = sourced(found, named, source)
    one, other = problem.inputs.columns, None if source is None else source.inputs.columns
    if one is None or other is None or any(name in other for name in one):
        return found, []
    lost = [name for name, row in found.items() if row.adaptation.streams and not row.adaptation.unlike]
    lost = [name for name in lost if name not in named]
    able = any(row.adaptation.unlike and row.serves(0) for row in found.values())
    if lost and not able and not any(k != 0 for k in counts):
        raise MetatlError(
            f"source: {source.name if source else ''} has no column of {problem.name}'s, and rows for unlike "
            f"columns ({', '.join(UNLIKE)}) learn from labels of both; ask for some (--labelled 2, say)"
        )
    note = f"Left out, as the source has no column of the data's: {', '.join(lost)}."
    return {name: row for name, row in found.items() if name not in lost}, [note] if lost else []


def _does(row: Row) -> str:
    """What a row does with a source."""
    if row.learner is not None:
        return "first learns on a source (photos of other classes, say)"
    return "reads the labelled rows of a source beside those of the data"


def learns_a_net(found: Mapping[str, Row], named: Sequence[str]) -> bool:
    """Whether a row that was asked for, by name or word, starts from a net learned on source columns."""
    asked_for = rows.rows(named) if named else found
    return any(not row.adaptation.streams for row in asked_for.values())


def possible(
    problem: Problem, asked: Sequence[int | None], found: Mapping[str, Row]
) -> tuple[list[int | None], list[str]]:
    """The numbers of labels that every class has, and a note on those that are too large.

    None at all are for rows that read the names of classes; raises MetatlError where no number is left.
    """
    most, unlabelled = problem.task.most, any(row.serves(0) for row in found.values())
    possible = [k for k in asked if k is None or (0 < k <= most) or (k == 0 and unlabelled)]
    large = ", ".join(str(k) for k in asked if k is not None and k > most)
    if not possible and asked == [0]:
        raise MetatlError(
            "labelled: without labels sentences are compared with the names of classes, and rows of two "
            "domains go by the labels of a source of the same classes (--source); give either, or more labels"
        )
    if not possible:
        raise MetatlError(
            f"labelled: {_smallest(problem)} {most} {problem.unit}s to learn from; {large} is too many"
        )
    each = "labels of each class" if problem.targets.kind == "classes" else f"labelled {problem.unit}s"
    notes = [f"{large} {each} are left out: {_smallest(problem)} {most} {problem.unit}s to learn from."]
    notes = notes if large else []
    if 0 in asked and not unlabelled and [*asked] != counts(None, problem.targets.kind):
        notes += [f"0 {each} are left out: every one of these rows needs labels."]
    return possible, notes


def _smallest(problem: Problem) -> str:
    return "the smallest class has" if problem.targets.kind == "classes" else "there are"


def digests(
    problem: Problem,
    net: Backbone,
    seed: int,
    source: SourceRows | None,
    teacher: Backbone | None = None,
    methods: Sequence[str] = (),
) -> dict[str, str]:
    """What cells depend on, beside their own row, number of labels and draw: source and teacher, if any."""

    def digest(value: Any) -> str:
        return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:16]

    values = problem.targets.digits
    data = [problem.targets.names, values, problem.digests, problem.task.pool.tolist()]
    data += [] if problem.task.group is None else [problem.task.group.tolist()]
    data += [one.pair.tolist() for one in (problem, source) if one is not None and one.pair is not None]
    found = {
        f"{problem.unit}s": digest(data),
        "net or size": net.key,
        "seed": str(seed),
        "methods": rows.digest(methods),
    }
    found |= {} if source is None else {"source": source.key}
    return found if teacher is None else {**found, "teacher": teacher.key}
