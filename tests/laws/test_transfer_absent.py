"""A class without a labelled row in a draw: the row fits the others, and gives it probability 0."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.cells import Cell, Cells, Key
from metatl.transferring.choose import chosen
from metatl.transferring.features import forward
from metatl.transferring.fit import Labelled
from metatl.transferring.judged import judged
from metatl.transferring.judging import judge
from metatl.transferring.report import ends
from metatl.transferring.rows import rows
from metatl.transferring.schedule import BodySchedule

SHORT = BodySchedule(passes=2, most=12, least=1, batch=4)
HERE = {name: row for name, row in rows().items() if not row.adaptation.missing}
ROWS = {name: row for name, row in HERE.items() if not row.needs_source and row.reads == "labels"}
ROWS = {name: row for name, row in ROWS.items() if row.adaptation.columns is None}  # the net has 64 features
_OF_OTHER_NETS = {"lora", "rslora", "dora", "ia3", "adapters", "distillation"}
"""Rows for layers that Conv4 has not, and for a teacher."""
HEADS = [name for name, row in ROWS.items() if row.moves == "head"]
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def net() -> Backbone:
    return backbone("Conv4", 20)


def labelled(net: Backbone, y: list[int], outputs: int) -> Labelled:
    x = torch.randn(len(y), 3, 20, 20, generator=torch.Generator().manual_seed(1))
    x[torch.tensor(y) == 0, 0] += 1
    return Labelled(forward(net.body(), x), torch.tensor(y), lambda: x, outputs)


@pytest.mark.parametrize("absent", [0, 1, 2])
@pytest.mark.parametrize("name", [name for name in ROWS if name not in _OF_OTHER_NETS])
def test_the_classes_that_are_there_are_fitted(net: Backbone, name: str, absent: int) -> None:
    pytest.importorskip("sklearn")
    row, there = replace(ROWS[name], schedule=SHORT), [c for c in range(3) if c != absent]
    some = labelled(net, [there[i % 2] for i in range(8)], 3)
    alone = replace(some, y=torch.arange(8) % 2, outputs=2)
    (found,), (wanted,) = judged(row, net, [(some, some)]), judged(row, net, [(alone, alone)])
    assert torch.equal(found[:, there], wanted)
    assert bool(found.isfinite().all())
    assert not bool(found.softmax(1)[:, absent].any())


@pytest.mark.parametrize("name", HEADS)
def test_parts_that_lack_different_classes_are_judged_side_by_side(net: Backbone, name: str) -> None:
    pytest.importorskip("sklearn")
    some = [labelled(net, y, 3) for y in ([0, 1, 2] * 2, [1, 2] * 3, [0, 2] * 3, [2, 2, 2])]
    together = judged(ROWS[name], net, [(one, some[0]) for one in some])
    for one, outputs in zip(some, together, strict=True):
        (alone,) = judged(ROWS[name], net, [(one, some[0])])
        assert torch.allclose(outputs, alone, rtol=1e-4, atol=1e-5)
    assert together[-1].argmax(1).tolist() == [2] * 6


def test_values_are_chosen_where_a_fold_lacks_a_class(net: Backbone) -> None:
    some = replace(labelled(net, [0, 1, 0, 1, 2, 2], 3), group=[0, 0, 1, 1, 2, 2])
    for name in ("logistic-regression", "linear-discriminant"):
        choice = chosen(ROWS[name], net, [some])[0]
        assert choice.how == "cv"


def test_what_is_chosen_at_an_end_is_said(tmp_path: Path) -> None:
    def cell(l2: float, how: str = "cv") -> Cell:
        return Cell([], [], [], {}, 0, seconds=0.0, selected={"solver.l2": l2}, how=how)

    values = [1e-5, 1e-5, 1e-2]
    held: dict[Key, Cell] = {("logistic-regression", 5, d): cell(l2) for d, l2 in enumerate(values)}
    held["logistic-regression", 1, 0] = cell(1e-2, "default")
    study: Any = SimpleNamespace(rows={"logistic-regression": ROWS["logistic-regression"]})
    said = "logistic-regression chose solver.l2 1e-05, an end of what is tried, in 2 of 3 draws."
    assert ends(study, Cells(tmp_path, {}, dict(held))) == [said]
    held["logistic-regression", 5, 3] = cell(1e-3)
    assert ends(study, Cells(tmp_path, {}, dict(held))) == []


def test_the_log_loss_of_probability_0_is_no_number() -> None:
    outputs = torch.tensor([[0.0, 1.0, -1e30]] * 2)
    found = judge(outputs, torch.tensor([1, 2]))
    assert found.also["log loss"] is None
    assert found.diverged == 0
