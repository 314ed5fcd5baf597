"""Rows of `metatl transfer` that see a source's rows: what they may read, and what they refuse."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl import MetatlError
from metatl.transferring.open_model import open_model
from metatl.transferring.opened import Words, opened
from metatl.transferring.transfer import Transferring, transfer
from metatl.transferring.unnamed import unnamed

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

WITHOUT = "source-only,coral,weights-by-classifier"


def table(
    place: Path,
    rows: int,
    seed: int,
    shift: float = 0.0,
    names: Sequence[str] = ("no", "yes"),
    columns: str = "abc",
) -> Path:
    """Two classes apart in the first column."""
    draws = np.random.default_rng(seed)
    y = np.arange(rows) % len(names)
    x = draws.normal(size=(rows, len(columns)))
    x[:, 0] += 4 * y
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow([*columns, "label"])
        rounded = ([f"{v:.6f}" for v in row] for row in x + shift)
        out.writerows([*row, names[label]] for row, label in zip(rounded, y, strict=True))
    return place


def poisoned(place: Path) -> None:
    """Every label replaced by the other one, half of them by chance."""
    lines = place.read_text().splitlines()
    swap = {"no": "yes", "yes": "no"}
    draws = np.random.default_rng(7)
    found = [lines[0]]
    for line in lines[1:]:
        front, _, label = line.rpartition(",")
        found.append(f"{front},{swap[label] if draws.random() < 0.5 else label}")
    place.write_text("\n".join(found) + "\n")


def target(folder: Path, **given: Any) -> Path:
    table(folder / "train.csv", 30, 1, 8.0, **given)
    table(folder / "test.csv", 20, 2, 8.0, **given)
    return folder


def asked(data: Any, source: Any, out: Path, methods: str = WITHOUT, labelled: str = "0") -> Transferring:
    given: dict[str, Any] = {"draws": 1, "minutes": 1.0, "words": Words("label")}
    return transfer(data, labelled=labelled, methods=methods, source=source, out=out, **given)


def test_poisoned_labels_of_the_target_change_no_byte_without_labels(tmp_path: Path) -> None:
    source = table(tmp_path / "source.csv", 40, 0)
    one = asked(target(tmp_path / "one"), source, tmp_path / "o1", "coral,source-only")
    poisoned(target(tmp_path / "two") / "train.csv")
    other = asked(tmp_path / "two", source, tmp_path / "o2", "coral,source-only")
    assert (tmp_path / "one/train.csv").read_bytes() != (tmp_path / "two/train.csv").read_bytes()
    kept = [(tmp_path / out / "model" / "weights.safetensors").read_bytes() for out in ("o1", "o2")]
    assert kept[0] == kept[1]
    fields = ("method", "labelled", "score", "ci95", "selected", "also")
    assert [[row[f] for f in fields] for row in one.report["rows"]] == [
        [row[f] for f in fields] for row in other.report["rows"]
    ]


def test_rows_without_labels_choose_by_the_source_and_say_so(tmp_path: Path) -> None:
    found = asked(target(tmp_path / "t"), table(tmp_path / "source.csv", 40, 0), tmp_path / "o")
    rows = {row["method"]: row for row in found.report["rows"]}
    assert {*rows} == {*WITHOUT.split(",")}
    assert all(row["selected"]["how"] == ["source"] for row in rows.values())
    assert rows["coral"]["score"] > 90 > rows["source-only"]["score"]
    protocol = found.report["protocol"]
    assert protocol["mode"] == "inductive"
    assert protocol["reference"] == protocol["saved"]["method"] == "source-only"
    assert "no label may choose" in protocol["saved"]["how"]
    assert any("effective sample size" in note for note in protocol["notes"])
    assert "chose by held-out rows of the source" in (tmp_path / "o" / "table.md").read_text()


def test_a_row_of_both_domains_is_saved_and_opened(tmp_path: Path) -> None:
    source = table(tmp_path / "source.csv", 40, 0)
    for name in ("subspace-alignment", "tca", "tradaboost"):
        out = tmp_path / name
        labelled = "5" if name == "tradaboost" else "0"
        found = asked(target(tmp_path / "t"), source, out, name, labelled)
        if labelled == "5":
            assert name in {row["method"] for row in found.report["rows"]}
        model = open_model(out / "model")
        x = torch.randn(4, 3)
        torch.testing.assert_close(model.outputs(x), found.model.outputs(x))


@pytest.mark.parametrize("name", ["cutmix-bridge", "ddb"])
def test_a_net_between_domains_is_saved_and_opened(tmp_path: Path, name: str) -> None:
    brief = "base: %s\nadaptation:\n  init_args:\n    learner:\n      init_args: {steps: 20}\n"
    (tmp_path / "brief.yaml").write_text(brief % name, encoding="utf-8")
    source = table(tmp_path / "source.csv", 40, 0)
    found = asked(target(tmp_path / "t"), source, tmp_path / "o", str(tmp_path / "brief.yaml"))
    (row,) = found.report["rows"]
    assert (row["method"], row["selected"]["how"]) == ("brief", ["source"])
    model, x = open_model(tmp_path / "o" / "model"), torch.randn(4, 3)
    torch.testing.assert_close(model.outputs(x), found.model.outputs(x))


@pytest.mark.parametrize(
    ("names", "columns", "said"),
    [
        (("no", "no"), "abc", "has one class only, 'no'"),
        (("left", "right"), "abc", "source: of the data's classes it has none"),
        (("no", "yes"), "xyz", "source: .* has no column of .*'s"),
    ],
)
def test_a_source_that_cannot_serve_is_refused(
    tmp_path: Path, names: Sequence[str], columns: str, said: str
) -> None:
    source = table(tmp_path / "source.csv", 40, 0, names=names, columns=columns)
    with pytest.raises(MetatlError, match=said):
        asked(target(tmp_path / "t"), source, tmp_path / "o")


def test_classes_of_one_domain_alone_are_named(tmp_path: Path) -> None:
    source = table(tmp_path / "source.csv", 60, 0, names=("no", "yes", "perhaps"))
    data = target(tmp_path / "t", names=("no", "yes", "never"))
    notes = asked(data, source, tmp_path / "o", "coral").report["protocol"]["notes"]
    assert "Classes of the source alone, left out by rows that read both: perhaps." in notes
    assert "The source never saw never: without labels no row names them." in notes


def test_identical_domains_are_one_clear_line(tmp_path: Path) -> None:
    data = target(tmp_path / "t")
    with pytest.raises(MetatlError, match="all its rows are rows of the data too"):
        asked(data, data / "train.csv", tmp_path / "o")


def test_a_row_that_reads_a_source_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match=r"'coral' reads the labelled rows of a source .* --source"):
        asked(target(tmp_path / "t"), None, tmp_path / "o", "coral")


@pytest.mark.parametrize(
    ("counts", "given", "joined"),
    [
        ([0], {}, True),
        ([0, 5, None], {}, True),
        ([5], {}, False),
        ([0], {"names": ("no", "maybe")}, False),
        ([0], {"columns": "xyz"}, False),
    ],
    ids=["zero", "among others", "none", "one class", "columns"],
)
def test_rows_of_both_domains_join_where_0_labels_are_asked_for(
    tmp_path: Path, counts: list[int | None], given: dict[str, Any], joined: bool
) -> None:
    """Beside a source of the same classes in the same columns, where no row is named."""
    found = [
        opened(place, Words("label"))[0]
        for place in (table(tmp_path / "source.csv", 40, 0, **given), target(tmp_path / "t"))
    ]
    assert unnamed(counts, found[0], found[1]) == ["usual", "domains"][: 1 + joined]
    assert unnamed(counts, None, found[1]) == ["usual"]


def test_without_names_0_labels_are_adaptation_without_a_label(tmp_path: Path) -> None:
    given: dict[str, Any] = {"draws": 1, "minutes": 0.4, "words": Words("label")}
    source = table(tmp_path / "source.csv", 40, 0)
    found = transfer(target(tmp_path / "t"), labelled="0", source=source, out=tmp_path / "o", **given).report
    assert {row["method"] for row in found["rows"]} >= {"source-only", "coral", "weights-by-classifier"}
    assert not any(row["labelled"] for row in found["rows"])
    assert not found["protocol"]["source"]["learned"], "rows that need labels learn nothing on the source"


def test_weights_that_leave_next_to_nothing_of_the_source_are_no_error(tmp_path: Path) -> None:
    """Domains that do not overlap: folds of the source without a row of any weight are left out."""
    source, data = table(tmp_path / "source.csv", 40, 0), target(tmp_path / "t")
    found = asked(data, source, tmp_path / "o", "weights-by-kliep,weights-by-ulsif,weights-by-kmm")
    assert len(found.report["rows"]) == 3
    assert all(row["score"] is not None for row in found.report["rows"])


def test_a_row_that_needs_labels_is_not_kept_without_any(tmp_path: Path) -> None:
    source, data = table(tmp_path / "source.csv", 40, 0), target(tmp_path / "t")
    found = asked(data, source, tmp_path / "o", "ridge,coral")
    assert "Left out, as they need labels: ridge." in found.report["protocol"]["notes"]
    given: dict[str, Any] = {"methods": "ridge,coral", "labelled": "0", "words": Words("label")}
    with pytest.raises(MetatlError, match="'ridge' needs labels"):
        transfer(data, source=source, out=tmp_path / "p", save="ridge", **given)
