"""Several nets and draws of scouts: which configs have other draws, and what intervals count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import config

ROOT = Path(__file__).resolve().parents[2]
SCOUTED = ("scouts.yaml/subspace-64-path", "scouts.yaml/diagonal-maml", "scouts-alphabets.yaml/mean-alone",
           "real-nets.yaml/subspace-16", "real-nets-minilm.yaml/subspace-16-shuffled")  # fmt: skip
PLAIN = ("scouts.yaml/fine-tune", "scouts.yaml/fine-tune-maml", "scouts-alphabets.yaml/l2-sp",
         "real-nets-minilm.yaml/fine-tune")  # fmt: skip


@pytest.fixture(autouse=True)
def _helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))


def made(nets: int, draws: int, net: float, draw: float, tasks: int = 40, seed: int = 0) -> Any:
    """Scores with effects of nets, of draws in them, and of tasks, around a half."""
    from scouts_runs import Runs

    random = np.random.default_rng(seed)
    scores = 0.5 + net * random.normal(size=(nets, 1, 1)) + draw * random.normal(size=(nets, draws, 1))
    scores = scores + 0.05 * random.normal(size=(nets, draws, tasks))
    return Runs(Report("row", scores.mean((0, 1)), {}, {}), scores)


@pytest.mark.parametrize("row", SCOUTED)
def test_another_draw_changes_scouts_and_nothing_else(row: str, tmp_path: Path) -> None:
    from scouts_runs import redrawn

    own: Path | None = ROOT / "configs" / row
    again, learners = redrawn(own, tmp_path, 2), list[str]()
    while again is not None and again.is_relative_to(tmp_path):
        assert own is not None
        said, wanted = config.describe(config.load(again)), config.describe(config.load(own))
        assert all(said[key] == wanted[key] for key in said if key not in ("start", "learner"))
        assert said["learner"]["init_args"].pop("again", 2) == 2
        assert wanted["learner"]["init_args"].pop("again", 0) == 0
        assert said["learner"] == wanted["learner"]
        learners.append(said["learner"]["class_path"].rpartition(".")[2])
        again, own = (Path(one["start"]) if one["start"] else None for one in (said, wanted))
        again = None if again is None else again.resolve()
    assert learners[-1] == "Scout"
    assert again is None or (own is not None and again == own.resolve())  # what scouts start from stays


@pytest.mark.parametrize("row", PLAIN)
def test_a_row_without_scouts_has_one_draw(row: str, tmp_path: Path) -> None:
    from scouts_runs import redrawn

    assert redrawn(ROOT / "configs" / row, tmp_path, 1) is None
    assert not list(tmp_path.iterdir())


def test_intervals_count_nets_then_draws_then_tasks_alone() -> None:
    from scouts_runs import Runs, difference

    one = made(3, 2, 0.03, 0.03)
    flat = Runs(one.report, np.full((3, 1, 40), 0.5))
    of_nets = difference(one, flat)
    assert of_nets.n == 3
    assert of_nets.mean == pytest.approx((one.scores - 0.5).mean())
    assert of_nets.ci95 is not None
    alone = compare.paired(one.scores.mean((0, 1)), np.full(40, 0.5)).ci95
    assert alone is not None
    assert of_nets.ci95 > 2 * alone  # three nets that differ say less of others than their tasks do
    of_draws = difference(made(1, 4, 0.0, 0.03), Runs(one.report, np.full((1, 1, 40), 0.5)))
    assert of_draws.n == 4
    few = made(2, 2, 0.03, 0.03)
    other = made(2, 1, 0.0, 0.0, seed=1)
    wanted = compare.paired(few.scores.mean((0, 1)), other.scores.mean((0, 1)))
    assert difference(few, other) == wanted


def test_the_interval_over_nets_and_tasks_covers_as_often_as_it_says() -> None:
    """95 % of intervals hold the mean, where nets, draws and tasks are drawn anew."""
    from scouts_runs import Runs, difference

    held = 0
    for seed in range(100):
        one = made(3, 2, 0.02, 0.02, seed=seed)
        found = difference(one, Runs(one.report, np.full((3, 1, 40), 0.5)))
        assert found.ci95 is not None
        held += abs(found.mean) <= found.ci95
    assert held >= 88


def test_differences_of_a_row_with_draws_stand_beside_one_without() -> None:
    from scouts_runs import Runs, contrasts

    one = made(1, 3, 0.0, 0.02)
    plain = Runs(one.report, one.scores.mean(1, keepdims=True))
    (found,) = contrasts({"a": one, "b": plain}, [("a", "b"), ("a", "c")])
    assert np.array(found["by_draw"]).shape == (1, 3)
    assert found["by_net"] == pytest.approx([0.0], abs=1e-9)
    assert found["difference"] == pytest.approx(0.0, abs=1e-9)


PAGE = """| target | labels | gtl, % | beside | difference, points | p (Holm) | draws |
| --- | ---: | ---: | --- | ---: | ---: | ---: |
| drop-seq | 1 | 95.2 | fine-tuning | +7.0 [1.1, 12.9] | 0.60 | 15 |
| drop-seq | 5 | 99.9 | fine-tuning | -0.5 | <0.001 | 2 |
| drop-seq | 5 | 99.9 | l2-sp | +0.0 | – | 2 |
"""


def test_the_card_reads_what_studies_say_and_names_those_that_are_not_there(tmp_path: Path) -> None:
    from gtl_card import card, five, from_page, verdict, write
    from gtl_card_lines import GUIDE, LINES, Line

    one, two, three = from_page(PAGE)
    assert (one["difference"], one["ci95"], one["p"]) == (7.0, pytest.approx(5.9), 0.6)
    assert (two["difference"], two["ci95"], two["p"], three["p"]) == (-0.5, None, 0.001, None)
    assert [verdict(test) for test in (one, two, three)] == [
        "no difference shown",
        "worse",
        "no difference shown",
    ]
    for name, text in (("a/README.md", PAGE), ("b/report.json", '{"contrasts": []}')):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, encoding="utf-8")
    wanted = {"target": "drop-seq", "labels": "1", "beside": "fine-tuning"}
    lines = [
        Line(GUIDE, "cells", "fine-tuning", "a", wanted),
        Line(GUIDE, "cells", "none", "a", {**wanted, "beside": "what is not compared"}),
        Line(GUIDE, "cells", "fine-tuning", "not run", wanted),
    ]
    found = card(tmp_path, lines)
    assert [(line["study"], line["difference"]) for line in found] == [("a", 7.0), ("not run", None)]
    assert f"| {GUIDE} | fine-tuning | 1 | 0 | 0 | +7.0 ± 5.9 (cells)" in five({"lines": found})
    write(tmp_path, tmp_path / "out")
    assert "Not run yet: " in (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    known = {line.folder for line in LINES if (ROOT / "results" / line.folder / "report.json").is_file()}
    real = card(ROOT / "results", [line for line in LINES if line.folder in known])
    assert all(line["difference"] is not None for line in real)
