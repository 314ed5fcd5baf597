"""What the commands `transfer`, `predict` and `methods` do and print."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from contextlib import nullcontext
from dataclasses import fields
from pathlib import Path

from metatl import importing
from metatl.lab import store
from metatl.text import say, terminal
from metatl.transferring import asked, clusters, people, person, tables
from metatl.transferring.doubt import check_share, most, share_of
from metatl.transferring.listing import listing, say_listing
from metatl.transferring.open_model import open_model
from metatl.transferring.opened import Words
from metatl.transferring.people_source import Before
from metatl.transferring.personalise import saved_at, with_delta
from metatl.transferring.predict import Predicting, Prediction, table
from metatl.transferring.predict import predict as predicted
from metatl.transferring.several import only
from metatl.transferring.transfer import transfer as transferred
from metatl.types import MetatlError


def transfer(words: argparse.Namespace) -> None:
    """`metatl transfer`: the table, where everything lies, and the command that uses the model."""
    if words.adapt_to == "group":
        _to_people(words)
        return
    if words.cluster is not None:
        clusters.cluster(words)
        return
    if words.apart is not None:
        raise MetatlError("--apart is of people that are adapted to; add --adapt-to group")
    with importing.received(trust=True) if words.trust else nullcontext():
        found = transferred(
            words.data,
            words.net,
            words.labelled,
            words.draws,
            words.methods,
            words.minutes,
            words.out,
            words.size,
            words.seed,
            words.source,
            _columns(words),
            words.teacher,
            words.sweep,
            words.source_clusters,
            words.save,
        )
    saved, lacking = found.report["protocol"]["saved"], found.report["protocol"]["missing"]
    say(tables.console(found.report))
    if "random" in (weights := found.report["protocol"]["weights"]):
        say(f"weights: {weights}")
    if lacking:
        cells = sum(one["draws_missing"] for one in lacking)
        say(f"the minutes did not reach {cells} fits, named in table.md; more --minutes goes on with them")
    for note in found.report["protocol"]["notes"]:
        say(note)
    for said in found.report["protocol"]["left_out"]:
        say(f"left out: {said}")
    say(f"saved model: {saved['method']}, {saved['how']}")
    say(f"written to {found.folder}: {', '.join(found.files)}")
    where, what = shlex.quote(str(found.folder)), found.model.reader.place
    recipe = found.model.recipe
    own = f" --own {recipe['name']}" if recipe["kind"] == "own" else ""
    say(f"use it: metatl predict {where} {what}{own} --out predictions.csv")


def _to_people(words: argparse.Namespace) -> None:
    """`metatl transfer --adapt-to group`: a table for each number of labels, the command for new ones."""
    for word in ("teacher", "sweep", "cluster", "source-clusters", "paired", "save"):
        if getattr(words, word.replace("-", "_")) is not None:
            raise MetatlError(f"--{word} is of data that are no people; leave it out with --adapt-to group")
    if words.draws < 1:
        raise MetatlError("transfer: draws must be 1 or more")
    before = Before(words.net, words.size, only(words.source, "--adapt-to group"))
    chosen = None if words.methods is None else asked.words(words.methods)
    with importing.received(trust=True) if words.trust else nullcontext():
        found = people.personalised(
            words.data, _columns(words), words.labelled, words.draws, chosen, words.out, words.seed, before
        )
    for k, one in found.by_labels.items():
        say(f"{k} labelled of each class\n\n{one.table}")
    for note in found.notes:
        say(note)
    for said in found.left_out:
        say(f"left out: {said}")
    say(f"written to {found.folder}: {', '.join(f'labelled-{k}/' for k in found.by_labels)}, configs/, runs/")
    say(f"a new person: metatl personalise {shlex.quote(str(found.best))} EXAMPLES --out person.delta")


def _columns(words: argparse.Namespace) -> Words:
    return Words(**{one.name: getattr(words, one.name) for one in fields(Words)})


def predict(words: argparse.Namespace) -> None:
    """`metatl predict`: a CSV of labels; what cannot be read is named on standard error."""
    check_share(words.unsure)
    folder = Path(words.model)
    saved = saved_at(folder)
    if saved is None and not words.delta and (folder / "config.yaml").is_file():
        raise MetatlError(
            f"{folder} is a run directory, which adapts first: 'metatl personalise {folder} EXAMPLES --out "
            "person.delta' makes what --delta takes"
        )
    if saved is None and words.delta:
        model, found, unit = person.predicted(words)
    else:
        opened = open_model(saved or folder, words.own, words.trust)
        model = opened if words.delta is None else with_delta(opened, Path(words.delta))
        found, unit = predicted(model, [Path(place) for place in words.data], _unreadable), opened.reader.unit
    _tell(model, found if words.unsure is None else share_of(found, words.unsure), unit, words.out)


def label_next(words: argparse.Namespace) -> None:
    """`metatl next`: the rows of a pool that the model is least sure of, as `predict` shows them."""
    if words.n < 1:
        raise MetatlError(f"next: -n is {words.n}; give the number of rows to label, 1 or more")
    folder = Path(words.model)
    model = open_model(saved_at(folder) or folder, words.own, words.trust)
    found = predicted(model, [Path(place) for place in words.data], _unreadable)
    there = [one for one in found if one.cells is not None]
    _tell(model, most(there, words.n), model.reader.unit, words.out)


def _tell(model: Predicting, found: list[Prediction], unit: str, out: str | None) -> None:
    """Into a file, or onto standard output."""
    if out:
        store.write_text(Path(out), table(model, found))
        say(f"written: {out}, {len(found)} {unit}s")
        return
    _check_encodable(table(model, found, terminal))
    say(table(model, found, terminal).rstrip("\n"))


def _unreadable(why: str) -> None:
    say(f"metatl: {why}", sys.stderr)


def _check_encodable(text: str) -> None:
    r"""A label that a table for people would show as \xe9 is another label to a program."""
    encoding = sys.stdout.encoding or "utf-8"  # of a stream in memory: none
    try:
        text.encode(encoding)
    except UnicodeEncodeError as error:
        raise MetatlError(
            f"standard output, whose encoding is {encoding}, has no {text[error.start]!r}; write a file with "
            "--out, or set PYTHONIOENCODING=utf-8"
        ) from error


def methods(words: argparse.Namespace) -> None:
    """`metatl methods`: a line for every row, or all of it as JSON."""
    if words.json:
        say(json.dumps(listing(), indent=2))
    else:
        say_listing()
