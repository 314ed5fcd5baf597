"""Targets by their type: several labels at once and a label a pixel, from the door to the prediction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metatl import Descent, Net, Personaliser, apply_delta, tree
from metatl.adapt import (
    ClosedForm,
    Estimator,
    LinearDiscriminant,
    LogisticRegression,
    NearestCentroid,
    QueryLoss,
    RidgeRegression,
    SoftNeighbours,
)
from metatl.data import Bank, Tasks
from metatl.data.checked import as_targets
from metatl.data.taskset_data import TasksetData
from metatl.engines import Batched, Loop
from metatl.evaluation.evaluate import Evaluation, Report, evaluate
from metatl.guides import SupportFisher
from metatl.heads import Prototypes, Ridge, Zeros
from metatl.learners import Episodic
from metatl.models import MLP
from metatl.objectives import CrossEntropy, Focal, KLAnchor, OneHot, TaskLoss, Term
from metatl.rules import SGD, Adam
from metatl.types import MetatlError, Split
from tests.toys import assert_close

MASKS = [[[0, 7], [7, 7]], [[0, 0], [7, 0]]]
GIVEN: dict[str, tuple[Any, str, list[int], list[Any] | None]] = {
    "rows of booleans": (np.eye(3, dtype=bool), "bool", [3, 3], None),
    "lists of booleans": ([[True, False], [False, False]], "bool", [2, 2], None),
    "a tensor of booleans": (torch.eye(3) > 0, "bool", [3, 3], None),
    "a column of booleans": (np.array([[True], [False]]), "int64", [2], [False, True]),
    "booleans": ([True, False, True], "int64", [3], [False, True]),
    "masks": (np.array(MASKS, np.uint8), "int64", [2, 2, 2], [0, 7]),
    "lists of masks": (MASKS, "int64", [2, 2, 2], [0, 7]),
    "masks of booleans": (np.array(MASKS) > 0, "int64", [2, 2, 2], [False, True]),
}


@pytest.mark.parametrize("name", GIVEN)
def test_what_targets_are(name: str) -> None:
    given, kind, shape, labels = GIVEN[name]
    y, found = as_targets(given)
    assert (str(y.dtype).removeprefix("torch."), list(y.shape), found) == (kind, shape, labels)
    values = torch.as_tensor(np.asarray(given)).reshape(shape)
    assert torch.equal(y if labels is None else torch.tensor(labels)[y], values)


@pytest.mark.parametrize("given", [np.eye(3, dtype=int), [[0, 1], [1, 1]], torch.eye(3).int()])
def test_rows_of_integers_say_what_they_could_be(given: Any) -> None:
    with pytest.raises(MetatlError, match=r"booleans where several labels hold at once \(y.astype\(bool\)\)"):
        as_targets(given)


def test_a_source_of_classes_takes_one_label_a_row() -> None:
    x = np.zeros((2, 3), np.float32)
    with pytest.raises(MetatlError, match="y holds several labels a row; labels are"):
        Bank.from_arrays(x, np.eye(2, dtype=bool))
    with pytest.raises(MetatlError, match="give one label each row"):
        Bank.from_arrays(x, np.array(MASKS))


def scenes(seed: int, count: int, swapped: bool = False) -> tuple[Tensor, Tensor]:
    """Pictures [n, 1, 8, 8] of a dark or bright bar on grey under noise; what each pixel is [n, 8, 8].

    swapped: whether dark is called 2 and bright 1.
    """
    draw = torch.Generator().manual_seed(seed)
    x, y = torch.zeros(count, 1, 8, 8), torch.zeros(count, 8, 8, dtype=torch.int64)
    for row in range(count):
        left, bright = int(torch.randint(6, (), generator=draw)), row % 2
        x[row, 0, :, left : left + 3] = 2.0 * bright - 1.0
        y[row, :, left : left + 3] = 2 - bright if swapped else 1 + bright
    return x + 0.2 * torch.randn(x.shape, generator=draw), y


class Scenes:
    """A task a draw: some of whose bars are called the other way round."""

    def __init__(self, first: int) -> None:
        self.first = first

    def sample(self) -> tuple[Tensor, Tensor]:
        seed = self.first + int(torch.randint(1000, ()))
        return scenes(seed, 12, swapped=bool(seed % 2))


def dense_net() -> Net:
    """Convolutions alone: outputs [n, 3, 8, 8], and no linear output layer."""
    torch.manual_seed(1)
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 3, 1)]
    return Net.of(nn.Sequential(*layers), example=torch.zeros(2, 1, 8, 8))


DENSE = Descent(Adam(0.1), 20, moments="frozen")


def test_a_label_a_pixel_is_learned_by_a_person() -> None:
    net = dense_net()
    assert (net.head, net.own_outputs) == (None, 3)
    x, y = scenes(0, 12)
    new, right = scenes(1, 20)
    before = Personaliser(net, net.start(), Descent(steps=0)).adapt(x, y).predict(new)
    mine = Personaliser(net, net.start(), DENSE).adapt(x, y)
    found = torch.tensor(mine.predict(new))
    assert found.shape == right.shape
    assert float((found == right).float().mean()) > 0.97
    assert float((torch.tensor(before) == right).float().mean()) < 0.7
    assert mine.probabilities(new).sum(1).allclose(torch.ones(20, 8, 8))
    with pytest.raises(MetatlError, match="labels are 0 to 2"):
        Personaliser(net, net.start(), DENSE).adapt(x, y + 1)
    with pytest.raises(MetatlError, match="do not pair with outputs"):
        Personaliser(net, net.start(), DENSE).adapt(x, y[:, :4])
    with pytest.raises(MetatlError, match="no linear output layer"):
        Personaliser(net, net.start(), Descent(head=Zeros())).adapt(x, y)


DENSE_TERMS: list[Term] = [TaskLoss(), CrossEntropy(smoothing=0.1, classes="balanced"), Focal(), OneHot()]


@pytest.mark.parametrize("term", [*DENSE_TERMS, KLAnchor(0.2)], ids=lambda term: type(term).__name__)
def test_a_label_a_pixel_has_one_gradient_on_every_engine(term: Term) -> None:
    net = Net.of(dense_net().module.double(), example=torch.zeros(2, 1, 8, 8, dtype=torch.float64))
    data = TasksetData("scenes", {"meta_train": Scenes(0)}, torch.device("cpu"))
    drawn = data.draw("meta_train", Tasks(3, 5, 4), 0, 0, 3)
    drawn = tree.apply(lambda leaf: leaf.double() if leaf.is_floating_point() else leaf, drawn)
    outer = term if not term.needs_anchor else TaskLoss()
    loss = QueryLoss(net, Descent(SGD(0.3), 2, terms=(term,)), net.start(), objective=outer)
    (one, _), (other, _) = (engine.grad(loss, loss.variables, drawn) for engine in (Batched(), Loop()))
    assert_close(one, other, 1e-9)


def evaluated(net: Net, data: Any, adaptation: Any, score: str | None) -> Report:
    evaluation = Evaluation(Tasks(3, 8, 4), 3, score=score, chunk=2)
    return evaluate(net, net.start(), adaptation, data, evaluation, Batched())


def test_a_label_a_pixel_is_evaluated_and_meta_learned() -> None:
    splits: dict[Split, Any] = {
        "meta_train": Scenes(0),
        "meta_val": Scenes(5000),
        "meta_test": Scenes(9000),
    }
    data, net = TasksetData("scenes", splits, torch.device("cpu")), dense_net()
    found = evaluated(net, data, DENSE, None)
    assert found.mean > 0.95
    assert found.score.name == "accuracy"
    assert evaluated(net, data, Descent(steps=0), None).mean < 0.7
    balanced = evaluated(net, data, DENSE, "balanced accuracy")
    assert 0.9 < balanced.mean <= 1
    learner = Episodic(12, 2, Tasks(3, 6, 6), Descent(SGD(0.5), 2), Adam(0.02), objective=Focal())
    learner.check(net, net.start(), data)
    state, losses = learner.init(net, net.start()), list[float]()
    for step in range(12):
        state, metrics = learner.step(net, Batched(), state, learner.draw(data, 0, step))
        losses.append(float(metrics["query_loss"]))
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    with pytest.raises(MetatlError, match="labels 0 to 2 of pixels, but way is 2"):
        data.draw("meta_train", Tasks(2, 4, 4), 0, 0, 1)


def tagged(seed: int, count: int = 40) -> tuple[Tensor, Tensor]:
    """Rows [n, 4] and three labels of which none, some or all hold."""
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))
    return x, torch.stack([x[:, 0] > 0, x[:, 1] + x[:, 2] > 0, x[:, 3] < 0.3], 1)


class Tagged:
    """A task a draw."""

    def sample(self) -> tuple[Tensor, Tensor]:
        return tagged(int(torch.randint(1000, ())))


@pytest.mark.parametrize(
    "adaptation",
    [
        Descent(Adam(0.05), 60, Zeros()),
        Descent(Adam(0.03), 60, Ridge(1.0), batch_size=8),
        ClosedForm(RidgeRegression(0.1)),
    ],
    ids=["zeros", "ridge head", "ridge regression"],
)
def test_several_labels_are_learned_by_a_person(adaptation: Any, tmp_path: Path) -> None:
    net = Net.of(MLP((4,), 2, (16,)))
    (x, y), (new, right) = tagged(0), tagged(1)
    base = Personaliser(net, net.start(), adaptation)
    mine = base.adapt(x, y)
    found = torch.tensor(mine.predict(new))
    assert found.dtype == torch.bool
    assert float((found == right).float().mean()) > 0.8
    assert torch.equal(mine.probabilities(new), mine.outputs(new).sigmoid())
    if adaptation.guided_by_transfer:
        mine.save_delta(tmp_path / "a.delta")
        assert apply_delta(base, tmp_path / "a.delta").predict(new) == mine.predict(new)


OF_CLASSES: list[Any] = [
    *(ClosedForm(solver) for solver in (NearestCentroid(), LinearDiscriminant(), LogisticRegression())),
    *(ClosedForm(SoftNeighbours()), Estimator(on="inputs")),
    *(Descent(head=Prototypes()), Descent(terms=(KLAnchor(),)), Descent(terms=(OneHot(),))),
    Descent(head=Zeros(), guide_from_support=SupportFisher()),
]


@pytest.mark.parametrize("adaptation", OF_CLASSES, ids=range(len(OF_CLASSES)))
@pytest.mark.parametrize("labels", [2, 3])
def test_what_has_no_use_for_several_labels_says_so(adaptation: Any, labels: int) -> None:
    net, (x, y) = Net.of(MLP((4,), labels, (16,))), tagged(0)
    with pytest.raises(MetatlError, match="label"):
        Personaliser(net, net.start(), adaptation).adapt(x, y[:, :labels])


def test_several_labels_are_evaluated() -> None:
    splits = dict.fromkeys(("meta_train", "meta_val", "meta_test"), Tagged())
    data, net = TasksetData("tagged", splits, torch.device("cpu")), Net.of(MLP((4,), 3, (16,)))
    assert (data.kind, data.outputs(Tasks())) == ("multilabel", 3)
    way = Descent(Adam(0.05), 40, Zeros())
    found = evaluated(net, data, way, None)
    assert found.score.name == "averaged precision"
    assert found.mean > 0.9 > evaluated(net, data, Descent(steps=0), None).mean
    named = evaluated(net, data, way, "averaged precision")
    np.testing.assert_allclose(found.scores, named.scores, atol=1e-6)
    with pytest.raises(MetatlError, match="accuracy is no score of several labels; there are: macro F1"):
        evaluated(net, data, way, "accuracy")
    with pytest.raises(MetatlError, match="needs class labels; choose RidgeRegression"):
        evaluated(net, data, ClosedForm(), None)
