"""`metatl transfer` and `predict` on the real data at hand, as their files are, with few rows of each."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metatl.data.tables import read_table
from metatl.data.tables.columns import as_text
from metatl.lab import store
from tests.commands import Said, metatl

pytestmark = pytest.mark.data
Make = Callable[[Path, Path], Path]


@dataclass(frozen=True)
class Case:
    """What a user has and types, and what comes out: a row, and a score that its own is better than."""

    make: Make
    words: str
    best: tuple[str, float]
    target: str
    classes: tuple[str, ...] = ()
    text: str | None = None


def arrays(data: Path, name: str) -> dict[str, Any]:
    with np.load(data / name, allow_pickle=False) as file:
        return dict(file)


def rows(held: dict[str, Any], keep: Any) -> dict[str, Any]:
    """The same file with some of its rows."""
    count = len(held["y"])
    return {key: array[keep] if len(np.shape(array)) and len(array) == count else array
            for key, array in held.items()}  # fmt: skip


def saved(file: Path, held: dict[str, Any]) -> Path:
    np.savez(file, **held)
    return file


def intents(data: Path, place: Path) -> Path:
    """Eight sentences each of six intents of a domain."""
    held = json.loads(gzip.decompress((data / "clinc150/clinc150.json.gz").read_bytes()))
    file = place / "banking.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["utterance", "intent"])
        for intent in held["domains"]["banking"][:6]:
            own = [row for row in held["data_full"]["train"] if row[1] == intent]
            writer.writerows(own[:8])
    return file


def activities(data: Path, place: Path) -> Path:
    """Three windows of every activity of ten people."""
    held = arrays(data, "hapt/hapt_windows_128.npz")
    pairs = [
        np.flatnonzero((held["subject"] == who) & (held["y"] == y))
        for who in range(1, 11)
        for y in range(1, 13)
    ]
    return saved(place / "hapt.npz", rows(held, np.concatenate([own[:3] for own in pairs])))


def cells(data: Path, place: Path) -> Path:
    held = rows(arrays(data, "pbmc68k/pbmc68k_reduced.npz"), slice(0, 700, 2))
    return saved(place / "cells.npz", {**held, "x": held["x"][:, :300], "gene": held["gene"][:300]})


def lines(data: Path, place: Path) -> Path:
    held = rows(arrays(data, "sc_mixology/sc_mixology_3000.npz"), slice(0, 1408, 6))
    return saved(place / "lines.npz", {**held, "x": held["x"][:, :300], "gene": held["gene"][:300]})


def reviews(data: Path, place: Path) -> Path:
    """The first reviews and words: a matrix in its sparse parts stays one."""
    held, count, words = arrays(data, "amazon_reviews/books.npz"), 400, 500
    inside = held["indices"][: held["indptr"][count]] < words
    row = np.repeat(np.arange(count), np.diff(held["indptr"][: count + 1]))[inside]
    held["indptr"] = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=count))])
    held |= {key: held[key][: len(inside)][inside] for key in ("indices", "values")}
    held |= {key: held[key][:count] for key in ("y", "split")}
    return saved(place / "books.npz", {**held, "n_features": np.array(words)})


def pupils(data: Path, place: Path) -> Path:
    held = arrays(data, "ilea_school/ilea_school.npz")
    return saved(place / "school.npz", rows(held, held["task"] < 12))


CASES = {
    "clinc150": Case(
        intents,
        "--text utterance --target intent --labelled 0,2 --methods zero-shot,nearest-centroid",
        ("nearest-centroid", 60),
        "intent",
        ("freeze_account", "routing"),
        "utterance",
    ),
    "hapt": Case(
        activities,
        "--target y --group subject --drop experiment,start --labelled 5 --methods logistic-regression",
        ("logistic-regression", 60),
        "y",
        ("WALKING", "LAYING"),
    ),
    "pbmc68k": Case(
        cells,
        "--target y --labelled 2 --methods nearest-centroid",
        ("nearest-centroid", 40),
        "y",
        ("CD14+ Monocyte", "CD34+"),
    ),
    "sc_mixology": Case(
        lines,
        "--target y --group protocol --drop barcode,singlet,total_count --labelled 2 "
        "--methods nearest-centroid,logistic-regression",
        ("logistic-regression", 40),
        "y",
        ("HCC827", "A549"),
    ),
    "amazon_reviews": Case(
        reviews,
        "--target y --drop split --labelled 50 --methods logistic-regression",
        ("logistic-regression", 55),
        "y",
        ("-1", "1"),
    ),
    "ilea_school": Case(
        pupils,
        "--target y --group task --labelled 100 --methods ridge,nearest-neighbours",
        ("ridge", 150),
        "y",
    ),
}


@pytest.fixture(scope="module", params=CASES)
def done(
    request: pytest.FixtureRequest, data_root: Path, tmp_path_factory: pytest.TempPathFactory, own_cache: None
) -> tuple[Case, Path, Path, Said]:
    """A case, its data, what was written, and what was said."""
    case, place = CASES[request.param], tmp_path_factory.mktemp("e")
    data = case.make(data_root, place)
    few = ("--draws", "2", "--minutes", "0.2", "--out", place / "o")
    found = metatl("transfer", data, *case.words.split(), *few)
    assert found.code == 0, found
    return case, data, place / "o", found


def test_the_data_are_transferred_to(done: tuple[Case, Path, Path, Said]) -> None:
    case, _, out, _ = done
    report = store.read_json(out / "report.json")
    (name, bound), higher = case.best, report["protocol"]["better"] == "higher"
    score = next(row["score"] for row in report["rows"] if row["method"] == name)
    assert score > bound if higher else score < bound, score
    assert {*case.classes} <= {*report["protocol"]["classes"]}
    page = (out / "report.html").read_text(encoding="utf-8")
    assert name in page
    assert "\x00" not in page


def test_predictions_stand_beside_the_rows(done: tuple[Case, Path, Path, Said]) -> None:
    case, data, out, _ = done
    found = metatl("predict", out, data)
    assert found.code == 0, found
    said = list(csv.DictReader(found.out.splitlines()))
    truth = [str(one) for one in as_text(read_table(data, text=case.text)[case.target])]
    assert len({one["line"] for one in said}) == len(said) == len(truth)
    if case.classes:
        right = [one["label"] == true for one, true in zip(said, truth, strict=True)]
        assert np.mean(right) > case.best[1] / 100
    else:
        gaps = [float(one[case.target]) - float(true) for one, true in zip(said, truth, strict=True)]
        assert np.mean(np.square(gaps)) < case.best[1]
