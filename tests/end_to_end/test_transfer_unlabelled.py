"""`metatl transfer --source` of rows without the target's column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.commands import metatl, refused

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


def heaps(path: Path, seed: int, labelled: bool) -> Path:
    """Three heaps of 24 rows each, row by row in turns, with or without what they are called."""
    heap = np.arange(72) % 3
    x = np.random.default_rng(seed).normal(size=(72, 8)) + 8.0 * np.eye(3, 8)[heap]
    names = [f"c{i}" for i in range(8)] + ["kind"] * labelled
    rows = [
        [*(f"{v:.4f}" for v in row), *(["abc"[one]] * labelled)] for row, one in zip(x, heap, strict=True)
    ]
    path.write_text("\n".join(",".join(row) for row in [names, *rows]) + "\n")
    return path


@pytest.fixture
def words(tmp_path: Path) -> tuple[str | Path, ...]:
    target, source = heaps(tmp_path / "t.csv", 1, True), heaps(tmp_path / "s.csv", 0, False)
    return "transfer", target, "--target", "kind", "--source", source


def test_a_table_of_what_was_learned_without_labels(words: tuple[str | Path, ...], tmp_path: Path) -> None:
    out = tmp_path / "o"
    more = ("--methods", "gtl,gtl-constant,logistic-regression", "--labelled", "1", "--draws", "1")
    found = metatl(*words, *more, "--source-clusters", "3", "--minutes", "0.5", "--out", out)
    assert found.code == 0, found
    assert "The source has no labels: 3 clusters of its rows" in found.out
    assert "no label read" in (out / "report.json").read_text()
    assert "squared error" in (out / "table.md").read_text()
    assert metatl("predict", out, words[1], "--out", tmp_path / "p.csv").code == 0


def test_rows_are_clustered_in_it(words: tuple[str | Path, ...], tmp_path: Path) -> None:
    found = metatl(*words, "--cluster", "3", "--out", tmp_path / "c")
    assert found.code == 0, found
    assert "without labels" in found.out


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (("--methods", "pooled"), "'pooled' reads the labels of the source, and it has none"),
        (("--methods", "domains"), "reads the labels of the source, and it has none"),
        (("--source-clusters", "100"), "source-clusters is 100, and the source has 72 rows"),
        (("--cluster", "3", "--source-clusters", "3"), "leave it out with --cluster"),
        (("--adapt-to", "group", "--source-clusters", "3"), "leave it out with --adapt-to group"),
    ],
)
def test_refusals_are_one_line(
    words: tuple[str | Path, ...], more: tuple[str, ...], line: str, tmp_path: Path
) -> None:
    assert line in refused(*words, *more, "--out", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_target_that_is_misspelt_in_the_source_is_no_lack_of_labels(
    words: tuple[str | Path, ...], tmp_path: Path
) -> None:
    source = heaps(tmp_path / "s.csv", 0, True)
    source.write_text(source.read_text().replace("kind", "Kind"))
    assert "'kind'" in refused(*words, "--out", tmp_path / "none")
