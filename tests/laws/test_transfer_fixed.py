"""The fixed problem: which photos are labelled, which judge, and what a folder may look like."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metatl.data.fixed import Fixed, stratified
from metatl.data.photos import photo_files, read_photo_folder
from metatl.data.table_rows import table_examples
from metatl.transferring.backbone import no_net
from metatl.transferring.problem import read_problem
from metatl.types import MetatlError
from tests.photos import drawn

LABELS = np.array([0] * 7 + [1] * 5 + [2] * 9 + [0, 1, 2] * 2, np.int64)
POOL, TEST = np.arange(21), np.arange(21, 27)


def test_draws_are_nested_balanced_and_leave_the_test_part_alone() -> None:
    task = Fixed(LABELS, POOL, TEST, seed=3)
    for draw in range(4):
        small, large = task.draw(2, draw), task.draw(5, draw)
        assert list(small.labelled) == list(large.labelled[:6])
        assert np.bincount(LABELS[large.labelled]).tolist() == [5, 5, 5]
        assert LABELS[large.labelled[:3]].tolist() == [0, 1, 2]
        assert set(large.labelled) <= set(POOL)
        assert list(large.test) == list(TEST)
    assert set(task.draw(2, 0).labelled) != set(task.draw(2, 1).labelled)
    assert list(Fixed(LABELS, POOL, TEST, seed=3).draw(5, 1).labelled) == list(task.draw(5, 1).labelled)


def test_all_is_drawn_once_with_a_test_part_and_once_a_fold_without() -> None:
    task, folds = Fixed(LABELS, POOL, TEST), Fixed(LABELS, POOL, None)
    assert task.draws(None, 10) == 1
    assert sorted(task.draw(None, 0).labelled) == list(POOL)
    assert folds.draws(None, 10) == 5
    judged = [folds.draw(None, draw) for draw in range(5)]
    assert sorted(np.concatenate([part.test for part in judged])) == list(POOL)
    for part in judged:
        assert sorted([*part.labelled, *part.test]) == list(POOL)
    assert not set(folds.draw(2, 3).labelled) & set(folds.draw(2, 3).test)
    assert list(folds.draw(2, 8).test) == list(folds.draw(2, 3).test)


def test_folds_are_stratified() -> None:
    fold = stratified(LABELS, 4, [0])
    for label in range(3):
        counts = np.bincount(fold[label == LABELS], minlength=4)
        assert counts.max() - counts.min() <= 1
    counts = np.bincount(fold)
    assert counts.max() - counts.min() <= 1


def test_the_largest_number_of_labels_is_what_every_class_can_give() -> None:
    assert Fixed(LABELS, POOL, TEST).most == 5
    assert Fixed(LABELS, POOL, None).most == 4
    with pytest.raises(MetatlError, match="folds need two"):
        Fixed(np.array([0, 0, 1]), np.arange(3), None)


@pytest.mark.parametrize(
    ("parts", "part", "labelled", "test"),
    [
        ({"train": 3, "val": 2}, "val", 6, 4),
        ({"train": 3, "val": 2, "test": 1}, "test", 10, 2),
        ({"train": 3}, "folds", 6, 0),
        ({"": 3}, "folds", 6, 0),
    ],
)
def test_which_photos_judge(
    tmp_path: Path, parts: dict[str, int], part: str, labelled: int, test: int
) -> None:
    found = read_photo_folder(drawn(tmp_path / "p", parts))
    assert (found.part, len(found.labelled), len(found.test)) == (part, labelled, test)
    assert found.classes == ("blue", "green")


def test_hidden_files_are_passed_over(tmp_path: Path) -> None:
    folder = drawn(tmp_path / "p")
    (folder / "train" / "blue" / ".DS_Store").write_bytes(b"x")
    (folder / "train" / "blue" / "._01.png").write_bytes(b"x")
    (folder / "train" / "notes.txt").write_text("x")
    (folder / "__MACOSX" / "train").mkdir(parents=True)
    (folder / "train" / ".cache").mkdir()
    found = read_photo_folder(folder)
    assert len(found.labelled) == 12
    assert len(photo_files([folder])) == 22


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: folder.rename(folder.with_name("q")), "no such folder"),
        (
            lambda folder: [f.unlink() for f in (folder / "train/blue").iterdir()],
            "class 'blue' has no photos",
        ),
        (lambda folder: (folder / "val/blue").rename(folder / "val/azure"), "class 'azure' is in val only"),
    ],
)
def test_a_folder_that_is_no_problem_is_one_line(tmp_path: Path, spoil: object, said: str) -> None:
    folder = drawn(tmp_path / "p")
    spoil(folder)  # pyright: ignore[reportCallIssue]
    with pytest.raises(MetatlError, match=said):
        read_photo_folder(folder)


def test_one_class_and_disjoint_classes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(MetatlError, match="one class only, 'blue'"):
        read_photo_folder(drawn(tmp_path / "one", {"": 3}, classes=1))
    folder = drawn(tmp_path / "p")
    for name in ("blue", "green"):
        (folder / "val" / name).rename(folder / "val" / f"other {name}")
    with pytest.raises(MetatlError, match="share no class"):
        read_photo_folder(folder)


@pytest.mark.parametrize("groups", [2, 3, 7, 40])
def test_nobody_is_labelled_and_judged(groups: int) -> None:
    rng = np.random.default_rng(groups)
    labels, group = rng.integers(0, 2, 120), rng.integers(0, groups, 120).astype(str)
    labels[:2], pool = [0, 1], np.arange(120)
    task = Fixed(labels, pool, None, 3, group)
    assert task.folds == min(5, groups)
    judged = list[int]()
    for draw in range(task.folds):
        part = task.draw(None, draw)
        assert not {*group[part.labelled]} & {*group[part.test]}
        judged += part.test.tolist()
    assert sorted(judged) == pool.tolist()


def test_groups_that_cannot_be_divided_are_one_line() -> None:
    labels, pool = np.array([0, 1] * 4), np.arange(8)
    with pytest.raises(MetatlError, match="all rows are of one group"):
        Fixed(labels, pool, None, 0, np.array(["a"] * 8))
    with pytest.raises(MetatlError, match="group 'b' has rows to learn from and rows that judge"):
        Fixed(labels, pool[:4], pool[4:], 0, np.array(list("aabbbccc")))


def test_a_class_of_one_group_is_not_counted_on() -> None:
    """Where that group judges, no row of the class is left to be labelled."""
    labels, group = np.array([0, 0, 0, 1, 2, 2]), np.array(list("abcabc"))
    assert Fixed(labels, np.arange(6), None, 0, group).most == 0


def test_files_of_another_kind_are_named_and_hidden_ones_are_not(tmp_path: Path) -> None:
    folder = drawn(tmp_path / "p", {"": 3})
    for name in (".DS_Store", "Thumbs.db"):
        (folder / "blue" / name).write_bytes(b"x")
    assert read_photo_folder(folder).notes == ()
    for name in ("song.mp3", "film.mp4"):
        (folder / "green" / name).write_bytes(b"x")
    (said,) = read_photo_folder(folder).notes
    assert said == "2 files beside the photos, of another kind, left out: film.mp4, song.mp3"


@pytest.mark.parametrize("folder", [False, True])
def test_rows_that_judge_with_the_content_of_a_labelled_one_are_counted(tmp_path: Path, folder: bool) -> None:
    """Folds part twins too, so that a net that remembers is right; only those of a test part were told."""
    rows = [f"{i}.5,{'ab'[i % 2]}" for i in range(20)]
    twins = [rows[0]] * 9 + rows  # whatever the folds are, some of the nine judge beside another one
    for name, held in (("train", rows), ("test", twins)) if folder else (("rows", twins), ("once", rows)):
        (tmp_path / f"{name}.csv").write_text("\n".join(["x,y", *held]))
    place = tmp_path if folder else tmp_path / "rows.csv"
    problem = read_problem(table_examples(place, "y")[0], no_net(), 0)
    if folder:
        assert problem.twins == len(twins)
        return
    assert problem.twins >= 10
    once = read_problem(table_examples(tmp_path / "once.csv", "y")[0], no_net(), 0)
    assert once.twins == 0
    together = Fixed(once.task.labels, once.task.pool, None, group=np.arange(20) % 10)
    assert replace(once, digests=tuple(str(i % 10) for i in range(20)), task=together).twins == 0
