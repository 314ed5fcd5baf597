"""Minutes are kept: work ends at its deadline, and a cell that would not fit is a smaller one, or none."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.adapt import ClosedForm, Descent
from metatl.adapt.solvers import LogisticRegression, Solver
from metatl.deadline import OutOfTimeError, in_time, within
from metatl.lab import store
from metatl.transferring import judged
from metatl.transferring import transfer as transferring
from metatl.transferring.budget import GROWTH, Budget
from metatl.transferring.opened import Words
from metatl.transferring.readout import fit_readout
from metatl.transferring.rows import rows
from metatl.transferring.running import affordable
from metatl.transferring.transfer import transfer
from metatl.types import Batch

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")


def test_the_earliest_of_nested_deadlines_counts() -> None:
    in_time()
    with within(1e6), pytest.raises(OutOfTimeError), within(-1.0), within(1e6):
        in_time()
    in_time()


@pytest.mark.parametrize("width", [2, 300])
def test_a_fit_ends_at_its_deadline(width: int) -> None:
    x, y = torch.randn(200, width), torch.arange(200) % 3
    for adaptation in (ClosedForm(LogisticRegression()), Descent(steps=10_000)):
        with pytest.raises(OutOfTimeError), within(0.0):
            fit_readout(adaptation, Batch(x, y), 3)


def test_many_rows_are_tried_on_fewer_first() -> None:
    row, budget, sizes = rows()["ridge"], Budget(60.0), list[int]()
    while rows_ := budget.trial("ridge", 8_700, 60.0):
        sizes.append(rows_)
        budget.learn("ridge", row, rows_, rows_, 1.0, rows_ / 100)
    assert sizes == [100, 870]
    assert budget.cost("ridge", row, 8_700, 100, 13.0) == pytest.approx(13 * 87.0)
    assert budget.trial("ridge", GROWTH * 870, 60.0) == 0
    assert budget.trial("ridge", 3, 60.0) == 3
    assert budget.trial("zero-shot", 0, 60.0) == 0


def test_rows_of_two_domains_cost_what_all_rows_that_they_read_do() -> None:
    found, budget = rows(("coral", "dann", "ridge")), Budget(60.0, source=200)
    budget.learn("coral", found["coral"], 0, 24, 1.0, 0.5)
    assert budget.cost("coral", found["coral"], 100, 24) == pytest.approx(0.75)
    assert budget.cost("dann", found["dann"], 0, 24, 2.0) == pytest.approx(1.0), "as the slowest other one"
    assert budget.cost("dann", found["dann"], 10, 24) == 0.0, "a trial will tell"
    budget.learn("ridge", found["ridge"], 10, 24, 1.0, 0.5)
    assert budget.cost("ridge", found["ridge"], 20, 24) == pytest.approx(1.0)


def test_dear_fits_give_way_to_cheap_ones_where_not_all_fit_in() -> None:
    assert affordable(1.0, [2.0, 3.0], 10.0) == 5.0, "all have one fit, and this row what is over"
    assert affordable(1.0, [2.0, 30.0], 10.0) == 8.0
    assert affordable(30.0, [2.0, 3.0], 10.0) == 0.0
    assert affordable(0.0, [30.0], 10.0) == 10.0
    assert affordable(1.0, [], -1.0) == 0.0


def test_no_trial_where_even_a_cube_is_little() -> None:
    row, budget = rows()["ridge"], Budget(6e4)
    budget.learn("ridge", row, 20, 20, 1.0, 1e-2)
    assert budget.trial("ridge", 400, 1e5) == 0  # 80 s at most, of 1e5
    assert budget.trial("ridge", 400, 7e4) == 40


def solver_of(name: str) -> Any:
    return getattr(rows()[name].adaptation, "solver")  # noqa: B009


class Slow:
    """Real fits, each of which takes a clock's seconds for every row."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: dict[str, float]) -> None:
        self.now, real = 0.0, judged.answers
        by = {type(solver_of(name)): value for name, value in seconds.items()}

        def answers(adaptation: Any, episodes: Any, keys: Any, outputs: int, sure: bool = False) -> Any:
            solver: Solver | None = getattr(adaptation, "solver", None)
            for episode in episodes:
                in_time()
                self.now += by.get(type(solver), 0.0) * len(episode.support.y)
            in_time()
            return real(adaptation, episodes, keys, outputs, sure)

        monkeypatch.setattr(judged, "answers", answers)
        clock: Callable[[], float] = lambda: self.now  # noqa: E731
        monkeypatch.setattr(time, "monotonic", clock)
        monkeypatch.setattr(time, "perf_counter", clock)
        monkeypatch.setattr(transferring, "Budget", partial(Budget, clock=clock))


@pytest.mark.parametrize(
    ("each", "how", "score"),
    [(0.01, ["cv"], True), (0.1, ["default"], True), (2.0, [], False)],
)
def test_minutes_are_kept_whatever_a_fit_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, each: float, how: list[str], score: bool
) -> None:
    clock, names = Slow(monkeypatch, {"linear-discriminant": each}), "ridge,linear-discriminant"
    y = np.arange(250) % 2
    data: dict[str, Any] = {"a": np.random.default_rng(0).normal(size=250) + y, "y": np.where(y, "yes", "no")}
    given: Any = {"labelled": "all", "methods": names, "minutes": 3.0, "out": tmp_path / "o"}
    np.savez(tmp_path / "t.npz", **data)
    transfer(tmp_path / "t.npz", words=Words(target="y"), draws=2, **given)
    found = store.read_json(tmp_path / "o" / "report.json")
    at = {row["method"]: row for row in found["rows"]}
    assert at["ridge"]["selected"]["how"] == ["cv"]
    assert ("linear-discriminant" in at) == score
    if score:
        assert at["linear-discriminant"]["selected"]["how"] == how
    lacking = {one["method"] for one in found["protocol"]["missing"]}
    assert "ridge" not in lacking
    assert score or "linear-discriminant" in lacking
    assert clock.now < 1.1 * 60 * 3 + 200 * each


def test_the_choice_of_what_is_saved_has_a_bar_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bar of the table's cells does not stand at 100 % while rows are validated."""
    np.savez(tmp_path / "t.npz", x=np.random.default_rng(0).normal(size=(40, 3)), y=np.arange(40) % 2)
    given: dict[str, Any] = {"labelled": (2,), "methods": ["ridge"], "out": tmp_path / "o"}
    transfer(tmp_path / "t.npz", words=Words(target="y"), draws=2, **given)
    bars = capsys.readouterr().err.splitlines()
    for label in ("transfer: ", "choosing what is saved: "):
        assert [line for line in bars if line.startswith(label)][-1].endswith("00:00 left")
