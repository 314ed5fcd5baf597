"""Rows of two domains that are of the same things: `--paired`, what reads it, and what it may not tell."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl import MetatlError
from metatl.adapt import AcrossDomains, ClosedForm, head_net
from metatl.adapt.solvers import LogisticRegression
from metatl.alignments import CanonicalCorrelations, TwoDomains
from metatl.alignments.correlations import paired
from metatl.transferring.open_model import open_model
from metatl.transferring.opened import Words
from metatl.transferring.pairs import with_pairs
from metatl.transferring.rows import rows
from metatl.transferring.transfer import Transferring, transfer
from metatl.types import Batch

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")
THINGS, CLASSES = 120, 3


def things() -> tuple[Any, Any, Any]:
    """Classes of things, and their views: 6 columns of one device, 4 of another one."""
    draws = np.random.default_rng(5)
    y = np.arange(THINGS) % CLASSES
    hidden = 3 * np.eye(CLASSES)[y] + draws.normal(size=(THINGS, CLASSES))
    views = [hidden @ draws.normal(size=(CLASSES, d)) + 0.2 * draws.normal(size=(THINGS, d)) for d in (6, 4)]
    return y, views[0], views[1]


def domains(pairs: int = 50) -> TwoDomains:
    """The first things in both without labels, the next 30 labelled in the source, the others unlabelled."""
    y, x, z = things()
    x, z, y = (torch.from_numpy(one) for one in (x, z, y))
    source = Batch(x[pairs : pairs + 30].float(), y[pairs : pairs + 30])
    return TwoDomains(source, Batch(z[:0].float(), y[:0]), z[pairs + 30 :].float(), (x[:pairs], z[:pairs]))


def test_the_space_is_that_of_the_correlations_shrunk_by_their_roots() -> None:
    found, way = domains(), CanonicalCorrelations(3, 0.01)
    assert found.paired is not None
    made = paired(*found.paired, 3, 0.01)
    both, fitted = way.fit(found)
    torch.testing.assert_close(
        both.x.double(), made.first(found.source.x) * made.correlations.sqrt(), atol=1e-5, rtol=1e-4
    )
    one, other = (made.first(found.paired[0]), way.target(fitted, found.paired[1]))
    between = one.T @ other / len(one)
    torch.testing.assert_close(between, made.correlations.pow(1.5).diag(), atol=1e-6, rtol=1e-4)
    assert way.told(found).startswith(f"50 pairs, largest correlations {float(made.correlations[0]):.2f}, ")


def test_a_source_of_other_columns_names_rows_of_a_target_without_a_label() -> None:
    y, _, z = things()
    found, net = domains(), head_net(4, CLASSES)
    assert found.paired is not None
    pairs = {"paired_source": found.paired[0].float(), "paired_target": found.paired[1].float()}
    x = {"labelled": found.labelled.x, "source": found.source.x, "unlabelled": found.unlabelled, **pairs}
    support = Batch(x, {"labelled": found.labelled.y, "source": found.source.y})
    way = AcrossDomains(CanonicalCorrelations(), ClosedForm(LogisticRegression(1e-2)))
    assert not way.needs_labels
    assert way.streams == ("source", "paired")
    said = way.predict(*net, way.fit(*net, support), support, torch.from_numpy(z[80:]).float())
    assert (said.argmax(1) == torch.from_numpy(y[80:])).double().mean() > 0.8


def test_too_few_pairs_and_no_space_are_one_line() -> None:
    found = domains()
    for pairs in (None, tuple(one[:1] for one in found.paired or ())):
        with pytest.raises(MetatlError, match="two pairs or more"):
            CanonicalCorrelations().fit(found._replace(paired=pairs))  # pyright: ignore[reportArgumentType]
    with pytest.raises(MetatlError, match="dimensions from 1 on"):
        CanonicalCorrelations(0)


def table(place: Path, x: Any, y: Any, names: Any, front: str) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow(["thing", *(f"{front}{i}" for i in range(x.shape[1])), "label"])
        for name, row, c in zip(names, x.tolist(), y, strict=True):
            out.writerow([name, *(f"{v:.6f}" for v in row), "pqr"[c]])
    return place


def asked(folder: Path, methods: str = "cca", lie: bool = False, **more: Any) -> Transferring:
    """Things 0 to 69 in the source, 30 to 119 in the target, of which 100 and on judge, and 40 to 49."""
    y, x, z = things()
    said = np.where((np.arange(THINGS) > 40) & (np.arange(THINGS) < 50), (y + 1) % CLASSES, y) if lie else y
    names = np.array([f"t{i}" if i % 40 else "" for i in range(THINGS)])
    source = table(folder / "s.csv", x[:70], said[:70], names[:70], "a")
    at = {"train": np.r_[30:40, 50:100], "test": np.r_[40:50, 100:120]}
    for part, some in at.items():
        table(folder / f"t/{part}.csv", z[some], y[some], names[some], more.get("front", "b"))
    given: dict[str, Any] = {"draws": 1, "minutes": 1.0, "source": source, "out": folder / "o"}
    words = Words("label", paired=more.get("paired", "thing"))
    return transfer(folder / "t", labelled=more.get("labelled", "0"), methods=methods, words=words, **given)


def test_paired_rows_stand_in_the_table_and_are_saved(tmp_path: Path) -> None:
    found = asked(tmp_path, labelled="0,2")
    score = {(row["method"], row["labelled"]): row["score"] for row in found.report["rows"]}
    assert score["cca", 0] > 75
    notes = found.report["protocol"]["notes"]
    assert any(note.startswith("39 things have a row in the source") for note in notes)
    assert any(note.startswith("cca: 30 pairs, largest correlations") for note in notes)
    model, x = open_model(tmp_path / "o/model"), torch.randn(4, 4)
    torch.testing.assert_close(model.outputs(x), found.model.outputs(x))


def test_the_source_s_label_of_a_thing_that_judges_is_never_read(tmp_path: Path) -> None:
    """Of things 41 to 49, which judge and which the source labels: other labels there change no number."""
    found = [asked(tmp_path / f"{lie}", lie=lie).report["rows"] for lie in (False, True)]
    for row in (*found[0], *found[1]):
        row.pop("seconds")
    assert [row["method"] for row in found[0]] == ["cca"]
    assert found[0] == found[1]


def test_what_pairs_cannot_serve_is_one_line(tmp_path: Path) -> None:
    for given, said in (
        ({"methods": "cca", "paired": None}, "method 'cca' reads rows of both domains.*--paired"),
        ({"methods": "cca", "paired": "nobody"}, "nobody"),
        ({"methods": "usual"}, "--paired: what is learned on the source once"),
        ({"methods": "cca,prototypes"}, "--paired: what is learned on the source once|prototypes"),
    ):
        with pytest.raises(MetatlError, match=said):
            asked(tmp_path / "x", **given)
    y, x, z = things()
    table(tmp_path / "t.csv", z[:40], y[:40], [f"u{i}" for i in range(40)], "b")
    given: dict[str, Any] = {"labelled": "0", "methods": "cca", "draws": 1, "out": tmp_path / "o"}
    words = Words("label", paired="thing")
    for names, said in (
        ([f"t{i}" for i in range(40)], "--paired: 0 things have a row in s and in t"),
        (["u1"] * 40, "--paired: s has two rows of 'u1'"),
    ):
        source = table(tmp_path / "s.csv", x[:40], y[:40], names, "a")
        with pytest.raises(MetatlError, match=said):
            transfer(tmp_path / "t.csv", source=source, words=words, **given)
    with pytest.raises(MetatlError, match="--source"):
        transfer(tmp_path / "t.csv", words=replace(words), **given)


def test_without_pairs_words_for_many_leave_these_rows_out() -> None:
    some = rows(("domains",))
    kept = with_pairs(some, ["domains"], None, True, True)
    assert {*some} - {*kept} == {"cca", "feature-matching"}
    assert with_pairs(some, ["domains"], "id", True, True) == some
