"""Several sources of `metatl transfer`: which one is learned from, by what, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.transferring.opened import Words
from metatl.transferring.several import nearness
from metatl.transferring.transfer import Transferring, transfer
from metatl.types import MetatlError
from tests.commands import refused

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


def table(
    place: Path, seed: int, shift: float = 0.0, flipped: float = 0.0, columns: str = "abc", rows: int = 40
) -> Path:
    """Two classes apart in the first column, moved by `shift`; labels of this share are the other ones."""
    draws = np.random.default_rng(seed)
    y = np.arange(rows) % 2
    x = draws.normal(size=(rows, len(columns))) + shift
    x[:, 0] += 4 * y
    y = np.where(draws.random(rows) < flipped, 1 - y, y)
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("w", newline="") as stream:
        out = csv.writer(stream)
        out.writerow([*columns, "label"])
        out.writerows([*(f"{v:.6f}" for v in row), ("no", "yes")[c]] for row, c in zip(x, y, strict=True))
    return place


@pytest.fixture
def target(tmp_path: Path) -> Path:
    for part, seed in (("train", 1), ("test", 2)):
        table(tmp_path / "t" / f"{part}.csv", seed)
    return tmp_path / "t"


def asked(data: Path, source: Any, out: Path, labelled: str = "0") -> Transferring:
    given: dict[str, Any] = {"draws": 1, "minutes": 1.0, "words": Words("label")}
    return transfer(data, labelled=labelled, methods="source-only", source=source, out=out, **given)


def scores(found: Transferring) -> list[Any]:
    return [(row["method"], row["labelled"], row["score"]) for row in found.report["rows"]]


def order(found: Transferring) -> str:
    (said,) = (note for note in found.report["protocol"]["notes"] if note.startswith("Sources by"))
    return said


def test_nearness_is_its_formula_and_nothing_lies_nearer_than_the_rows_themselves() -> None:
    t, s = torch.randn(30, 3), torch.randn(20, 3) + 1
    assert nearness(t, t) == pytest.approx(0.0, abs=1e-12)
    u, v = (rows.double() / t.double().std(0, correction=0) for rows in (t, s))
    width = torch.pdist(u).median()
    kernel = [
        np.mean([[float(torch.exp(-((a - b) @ (a - b)) / (2 * width**2))) for b in right] for a in left])
        for left, right in ((u, v), (v, v), (u, u))
    ]
    assert nearness(t, s) == pytest.approx(2 * kernel[0] - kernel[1] - kernel[2], rel=1e-9)
    assert nearness(t, s) > nearness(t, s + 2)
    assert nearness(5 * t + 1, 5 * s + 1) == pytest.approx(nearness(t, s), rel=1e-4)  # no unit matters


def test_rows_learn_from_the_nearest_alone_and_by_no_label(target: Path, tmp_path: Path) -> None:
    near, far = table(tmp_path / "near.csv", 3, 0.5), table(tmp_path / "far.csv", 4, 6.0)
    found = asked(target, [far, near], tmp_path / "o")
    assert "which reads no label" in order(found)
    assert "rows learn from near alone" in order(found)
    assert order(found) == order(asked(target, [near, far], tmp_path / "turned"))
    alone = asked(target, near, tmp_path / "alone")
    assert scores(found) == scores(alone)
    lines = (target / "train.csv").read_text().splitlines()
    poisoned = [
        lines[0],
        *(line.replace("yes", "no") for line in lines[1:-1]),
        lines[-1].replace("no", "yes"),
    ]
    (target / "train.csv").write_text("\n".join(poisoned))
    assert order(asked(target, [far, near], tmp_path / "poisoned")) == order(found)


def test_labels_of_the_first_draw_choose_where_all_draws_have_some(target: Path, tmp_path: Path) -> None:
    wrong, moved = table(tmp_path / "wrong.csv", 3, flipped=0.5), table(tmp_path / "moved.csv", 4, 1.5)
    found = asked(target, [wrong, moved], tmp_path / "o", "5")
    assert "LEEP on 5 labels of each class" in order(found)
    assert "rows learn from moved alone" in order(found)
    assert "learn from wrong" in order(asked(target, [wrong, moved], tmp_path / "none", "0,5"))
    folds = asked(target / "train.csv", [wrong, moved], tmp_path / "folds", "5")
    assert "which reads no label" in order(folds)


def test_sources_that_cannot_be_put_in_order_are_one_line(target: Path, tmp_path: Path) -> None:
    one, other = table(tmp_path / "one.csv", 3), table(tmp_path / "other.csv", 4, columns="xyz")
    copy = tmp_path / "copy.csv"
    copy.write_bytes(one.read_bytes())

    def line(*sources: Path, more: tuple[str, ...] = ()) -> str:
        words = [word for source in sources for word in ("--source", source)]
        asked = ("--target", "label", "--labelled", "0", "--methods", "source-only", "--out", tmp_path / "o")
        return refused("transfer", target, *words, *asked, *more)

    assert "is named twice" in line(one, tmp_path / "." / "one.csv")
    assert "one and copy hold the same rows" in line(one, copy)
    assert "other has no column of t's" in line(one, other)
    assert "no such file" in line(one, tmp_path / "none.csv")
    assert "--cluster takes one source" in line(one, other, more=("--cluster", "2"))
    with pytest.raises(MetatlError, match="no source is named"):
        asked(target, [], tmp_path / "o")
