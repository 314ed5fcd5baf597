"""Rows of the MAML family's study outlive the machine they were found on: kept, joined with later ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metatl.evaluation.evaluate import Report

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
MODE = "transductive"


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import omniglot_maml_rows

    return omniglot_maml_rows


def report(mean: float, single: bool = True) -> Report:
    scores = np.random.default_rng(int(1000 * mean)).uniform(mean - 0.1, mean + 0.1, 50)
    scores = scores.astype(np.float32).astype(np.float64) if single else scores
    return Report(
        "maml", scores, {"way": 5, "shot": 1, "query": 1}, {"seconds_to_learn": 12.5, "selected": {}}
    )


@pytest.mark.parametrize("single", [True, False])
def test_rows_come_back_as_they_were(kept: Any, tmp_path: Path, single: bool) -> None:
    rows = [
        kept.Row("maml", "5w1s", MODE, {0: report(0.8, single), 2: report(0.7, single)}, 100, 8),
        kept.Row("protonet", "20w1s", "inductive", {1: report(0.6, single)}, 10, 1),
    ]
    kept.keep(tmp_path, rows)
    found = kept.load(tmp_path)
    assert [(row.key, row.schedule, [*row.reports]) for row in found] == [
        (row.key, row.schedule, [*row.reports]) for row in rows
    ]
    for row, other in zip(rows, found, strict=True):
        for seed, one in row.reports.items():
            np.testing.assert_array_equal(one.scores, other.reports[seed].scores)
            assert (one.method, one.protocol, one.facts) == (
                other.reports[seed].method,
                other.reports[seed].protocol,
                other.reports[seed].facts,
            )
    first = (tmp_path / "episodes.npz").read_bytes()
    kept.keep(tmp_path, found)
    assert (tmp_path / "episodes.npz").read_bytes() == first


def test_nothing_kept_is_no_rows(kept: Any, tmp_path: Path) -> None:
    assert kept.load(tmp_path) == []


def test_what_was_found_here_counts(kept: Any) -> None:
    old, new = report(0.5), report(0.9)
    before = [kept.Row("maml", "5w1s", MODE, {0: old, 1: old}, 100, 8)]
    (row,) = kept.joined(before, [kept.Row("maml", "5w1s", MODE, {1: new, 2: new}, 100, 8)])
    assert row.reports == {0: old, 1: new, 2: new}


def test_another_schedule_replaces_all_seeds(kept: Any) -> None:
    before = [kept.Row("maml", "5w1s", MODE, {0: report(0.5), 1: report(0.5)}, 100, 8)]
    new = kept.Row("maml", "5w1s", MODE, {0: report(0.9)}, 200, 8)
    assert kept.joined(before, [new]) == [new]


def test_other_rows_stay(kept: Any) -> None:
    one = kept.Row("maml", "20w1s", MODE, {0: report(0.5)}, 100, 8)
    two = kept.Row("anil", "5w1s", MODE, {0: report(0.5)}, 100, 8)
    assert kept.joined([one], [two]) == [two, one]


def test_a_seed_is_held_under_every_evaluation_of_its_schedule(kept: Any) -> None:
    rows = [kept.Row("maml", "5w1s", mode, {0: report(0.5)}, 100, 8) for mode in kept.MODES]
    assert kept.holds(rows, "maml_5w1s", 0, (100, 8))
    assert not kept.holds(rows, "maml_5w1s", 1, (100, 8))
    assert not kept.holds(rows, "maml_5w1s", 0, (200, 8))
    assert not kept.holds(rows, "maml_5w5s", 0, (100, 8))
    assert not kept.holds(rows[1:], "maml_5w1s", 0, (100, 8))


def test_every_row_is_kept_behind_itself(kept: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption in the second row leaves the first, with its table; a second call goes on behind it."""
    import omniglot_maml

    asked, words = list[str](), ["--only", "maml_5w1s", "protonet_5w1s", "--out", str(tmp_path)]

    def rows(name: str, seed: int, _: Any) -> list[Any]:
        asked.append(name)
        if asked == ["maml_5w1s", "protonet_5w1s"]:
            raise KeyboardInterrupt
        method = name.partition("_")[0]
        return [kept.Row(method, "5w1s", mode, {seed: report(0.5)}, 3, 8) for mode in kept.MODES]

    def write(out: Path, told: list[Any]) -> None:
        (out / "told").write_text(str(len(told)))

    monkeypatch.setattr(omniglot_maml, "rows", rows)
    monkeypatch.setattr(omniglot_maml, "schedule", lambda name, given: (3, 8))
    monkeypatch.setattr(omniglot_maml.omniglot_maml_table, "write", write)
    with pytest.raises(KeyboardInterrupt):
        omniglot_maml.main(words)
    assert {row.method for row in kept.load(tmp_path)} == {"maml"}
    assert (tmp_path / "told").read_text() == "3"
    omniglot_maml.main(words)
    assert asked == ["maml_5w1s", "protonet_5w1s", "protonet_5w1s"]
    assert (tmp_path / "told").read_text() == "6"
