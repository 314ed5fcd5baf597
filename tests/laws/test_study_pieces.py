"""Studies in pieces go on where they were broken off, and schools' rows are divided without a leak."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.evaluation.evaluate import Report
from metatl.objectives import Anchor
from metatl.types import Batch

SCRIPTS = str(Path(__file__).resolve().parents[2] / "scripts")


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`import` of a study's module, which is forgotten behind the test."""
    monkeypatch.syspath_prepend(SCRIPTS)
    before = {*sys.modules}
    yield __import__
    for name in {*sys.modules} - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(SCRIPTS):
            del sys.modules[name]


def test_what_is_done_is_not_done_again(scripts: Any, tmp_path: Path) -> None:
    pieces, done = scripts("pieces").Pieces, list[tuple[str, int]]()

    def make(row: str, seed: int) -> dict[str, float]:
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append((row, seed))
        return {"score": 10.0 * seed + len(row)}

    with pytest.raises(KeyboardInterrupt):
        pieces(tmp_path, "steps 1", 1.0).fill(["a", "b c"], 2, make)
    del done[:2]
    again = pieces(tmp_path, "steps 1", 1.0)
    assert again.fill(["a", "b c"], 2, make) == 0
    assert done == [("a", 1), ("b c", 1)]
    assert again.values("b c", "score", again.draws("b c", "a")).tolist() == [3.0, 13.0]
    none = pieces(tmp_path, "steps 1", -1.0)
    assert none.fill(["a", "new"], 2, make) == 2, "no minutes: what is there is read, the rest is missing"
    done.clear()
    assert pieces(tmp_path, "steps 2", 1.0).fill(["a"], 2, make) == 0
    assert done == [("a", 0), ("a", 1)], "another number of steps is another cell"


def test_reports_are_kept_beside_the_table_and_are_the_same_when_read(scripts: Any, tmp_path: Path) -> None:
    reports, made = scripts("reports").Reports, list[str]()

    def make(name: str) -> Report:
        made.append(name)
        return Report(name, np.array([1 / 3, 0.1]), {"episodes": 2}, {"selected": {"rule.lr": 0.1}})

    place = tmp_path / "results" / "reports.json"
    first = reports(place)
    for name in ("a", "b", "a"):
        first.named(name, lambda name=name: make(name))
    again = reports(place).named("a", lambda: make("a"))
    assert made == ["a", "b"], "what is there is not made again"
    assert (again.method, again.protocol, again.facts) == (
        "a",
        {"episodes": 2},
        {"selected": {"rule.lr": 0.1}},
    )
    assert again.scores.tolist() == [1 / 3, 0.1]
    assert len(place.read_text().splitlines()) == 4, "a line each"


def test_rows_of_schools(scripts: Any) -> None:
    rng = np.random.default_rng(0)
    school = np.repeat(np.arange(5), [22, 30, 40, 50, 60])
    x = rng.integers(0, 3, (len(school), 4))
    x[:, 3] = 1
    data = scripts("school_nets").Schools.drawn(x, 10 * school + x[:, 0], school, 0)
    parts = [set(data.of[part].tolist()) for part in ("train", "val", "test")]
    assert sorted(row for part in parts for row in part) == list(range(len(school))), "each row once"
    assert data.width == 3, "a constant column tells nothing"
    assert sorted(one for held in data.sized(2) for one in held) == list(range(5))
    episode = data.episodes([4, 0], "test")
    assert episode.support.weight.sum(1).tolist() == [36, 13]
    assert torch.equal(
        episode.query.y[1, :5], data.y[torch.from_numpy(data.of["test"][data.places("test", 0)])][:5]
    )
    assert torch.equal(data.named().x[:, 3], torch.from_numpy(school).float())


def test_anchor_of_values_by_hand(scripts: Any) -> None:
    """At alpha 1 the optimum is the start; in between the gradient is 2 (f - target) / n."""
    output = torch.tensor([[1.0], [3.0]], requires_grad=True)
    batch, anchor = (
        Batch(output.detach(), torch.tensor([[0.0], [2.0]])),
        Anchor({}, torch.tensor([[2.0], [3.0]])),
    )
    term = scripts("school_nets").KLOfValues(0.25)
    (found,) = torch.autograd.grad(term({}, output, batch, anchor), output)
    assert found.flatten().tolist() == pytest.approx([1.0 - 0.5, 3.0 - 2.25])
    assert float(term.__class__(1.0)({}, torch.tensor([[2.0], [3.0]]), batch, anchor)) == 0
