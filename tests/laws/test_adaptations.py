"""Every way of adapting keeps the laws that it claims, through one evaluation; broken ways are caught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from metatl import tree
from metatl.adapt import (
    Adaptation,
    ClosedForm,
    Descent,
    Estimator,
    InContext,
    Laplace,
    LogisticRegression,
    NearestCentroid,
    NearestNeighbours,
    RidgeRegression,
)
from metatl.data import Sinusoid, Tasks
from metatl.engines import Batched, Loop
from metatl.evaluation.evaluate import Evaluation, evaluate
from metatl.heads import Prototypes, Zeros
from metatl.models import MLP
from metatl.net import Net
from metatl.rules import SGD
from metatl.testing import check_adaptation
from metatl.types import Batch, Episode, MetatlError, Transfer
from tests.toys import INPUTS, WAY, toy_data, toy_net, toy_task, toy_tasks

FEW = Evaluation(Tasks(3, 2, 4), episodes=6, select_episodes=2, chunk=4)


class Reader(nn.Module):
    """A small transformer over the support set: the last layer weighs the support labels."""

    def __init__(self, places: bool = False) -> None:
        super().__init__()
        self.row, self.query = nn.Linear(INPUTS + WAY, 8), nn.Linear(INPUTS, 8)
        self.layers = nn.Transformer(8, 2, 1, 1, 16, 0.0, batch_first=True)
        self.head, self.places = nn.Linear(8, WAY), places

    def forward(self, support_x: Tensor, support_y: Tensor, x: Tensor) -> Tensor:
        """Logits [n, WAY] for the rows x."""
        labels = (support_y[:, None] == torch.arange(WAY)).to(x.dtype)
        rows = self.row(torch.cat([support_x, labels], -1))
        if self.places:
            rows = rows * torch.arange(1, len(rows) + 1)[:, None]
        memory = self.layers.encoder(rows).expand(len(x), -1, -1)
        return self.head(self.layers.decoder(self.query(x)[:, None], memory))[:, 0]


WAYS: dict[str, Adaptation] = {
    "descent": Descent(SGD(0.5), 8),
    "descent from prototypes": Descent(SGD(0.1), 2, Prototypes()),
    "descent, transductive": Descent(SGD(0.1), 2, Zeros(), moments="batch"),
    "centroids": ClosedForm(),
    "centroids, support": ClosedForm(moments="support"),
    "centroids, transductive": ClosedForm(moments="batch"),
    "ridge": ClosedForm(RidgeRegression(0.5)),
    "logistic": ClosedForm(LogisticRegression(scaled=True)),
    "neighbours of inputs": Estimator(NearestNeighbours(3), on="inputs"),
    "neighbours of features": Estimator("metatl.adapt.NearestNeighbours", {"k": 2}, moments="support"),
}


@pytest.mark.parametrize("name", WAYS)
def test_a_way_of_adapting_keeps_its_laws(name: str) -> None:
    net = toy_net(norm=True)
    check_adaptation(WAYS[name], net, net.start(), toy_tasks(3))


def test_an_in_context_learner_keeps_its_laws() -> None:
    net = Net.of(Reader().double(), head="head")
    check_adaptation(InContext(), net, net.start(), toy_tasks(3))
    blind = Net.of(Reader(places=True).double(), head="head")
    check_adaptation(InContext(order_matters=True), blind, blind.start(), toy_tasks(3))
    with pytest.raises(AssertionError, match="order_free"):
        check_adaptation(InContext(), blind, blind.start(), toy_tasks(3))


@pytest.mark.parametrize("name", WAYS)
def test_evaluation_is_the_same_on_every_engine(name: str) -> None:
    torch.manual_seed(3)
    net = toy_net(norm=True, dtype=torch.float32)
    start, data, engines = net.start(), toy_data(), (Batched(2), Loop())
    found = [evaluate(net, start, WAYS[name], data, FEW, engine) for engine in engines]
    np.testing.assert_allclose(found[0].scores, found[1].scores, atol=1e-6)
    assert found[0].protocol == found[1].protocol
    assert found[0].protocol["transductive"] == ("transductive" in name)
    assert found[0].mean > 0.4, "better than chance"
    assert (found[0].facts["trainable"] > 0) == name.startswith("descent")
    by_hand = []
    for i in range(FEW.episodes):
        one = tree.at(toy_data().draw("meta_test", FEW.tasks, 0, i, 1), 0)
        output = WAYS[name].answer(net, net.start(), one)
        by_hand.append(float((output.argmax(1) == one.query.y).double().mean()))
    np.testing.assert_allclose(found[1].scores, by_hand, atol=1e-6)


def test_real_targets() -> None:
    data, tasks = Sinusoid().load(), Tasks(shot=20, query=5)
    net = Net.of(nn.Sequential(nn.Linear(1, 40), nn.Tanh(), nn.Linear(40, 1)))
    shape = Evaluation(tasks, episodes=4, select_episodes=2)
    for way in (ClosedForm(RidgeRegression(1e-3)), Estimator(on="inputs"), Estimator(NearestNeighbours(2))):
        found = evaluate(net, net.start(), way, data, shape, Batched())
        assert found.protocol["score"] == "loss"
        assert 0 < found.mean < 4, "the waves' own second moment is about 4.7"
    with pytest.raises(MetatlError, match="RidgeRegression"):
        evaluate(net, net.start(), ClosedForm(), data, shape, Batched())


def test_one_neighbour_by_hand_and_k_copies_are_a_weight() -> None:
    generator = np.random.default_rng(0)
    x, y, new = generator.normal(size=(9, 3)), np.arange(9) % 3 + 5, generator.normal(size=(20, 3))
    nearest = np.linalg.norm(new[:, None] - x, axis=2).argsort(1)
    found = NearestNeighbours(4).fit(x, y)
    assert found.classes_.tolist() == [5, 6, 7]
    votes = (y[nearest[:, :4], None] == [5, 6, 7]).mean(1)
    np.testing.assert_allclose(found.predict_proba(new), votes)
    assert (found.predict(new) == 5 + votes.argmax(1)).all()
    real = NearestNeighbours(4).fit(x, x[:, 0])
    np.testing.assert_allclose(real.predict(new), x[nearest[:, :4], 0].mean(1))
    assert NearestNeighbours(50).fit(x, y).predict_proba(new) == pytest.approx(1 / 3)
    copies = np.array([0, 1, 2, 3, 1, 1, 0, 2, 1])
    weighted = NearestNeighbours(4).fit(x, y, copies).predict_proba(new)
    repeated = NearestNeighbours(4).fit(x.repeat(copies, 0), y.repeat(copies)).predict_proba(new)
    np.testing.assert_allclose(weighted, repeated)


def test_estimators_of_scikit_learn() -> None:
    ensemble = pytest.importorskip("sklearn.ensemble")
    neighbours = pytest.importorskip("sklearn.neighbors")
    net, tasks = toy_net(norm=True), toy_tasks(3)
    forest = Estimator("sklearn.ensemble.RandomForestClassifier", {"n_estimators": 5})
    check_adaptation(forest, net, net.start(), tasks)
    one = tree.at(tasks, 0)
    mine = ensemble.RandomForestClassifier(5, random_state=7)
    mine.fit(one.support.x.numpy(), one.support.y.numpy())
    way = Estimator(ensemble.RandomForestClassifier(5), on="inputs")
    fitted = way.fit(net, net.start(), one.support, 7)
    output = way.predict(net, net.start(), fitted, one.support, one.query.x)
    np.testing.assert_allclose(output.exp().numpy(), mine.predict_proba(one.query.x.numpy()), atol=1e-9)
    theirs = Estimator(neighbours.KNeighborsClassifier(3), on="inputs").answer(net, net.start(), one)
    ours = Estimator(NearestNeighbours(3), on="inputs").answer(net, net.start(), one)
    torch.testing.assert_close(theirs, ours)
    linear = Estimator("sklearn.linear_model.RidgeClassifier", on="inputs")  # has no predict_proba
    assert linear.answer(net, net.start(), one).exp().sum(1).numpy() == pytest.approx(1)
    with pytest.raises(MetatlError, match="n_neighbors"):
        Estimator(neighbours.KNeighborsClassifier(50)).answer(net, net.start(), one)


def test_row_weights_reach_an_estimator() -> None:
    net, one = toy_net(), toy_task(6, 5)
    kept = torch.tensor([1.0, 1, 1, 1, 0, 0], dtype=torch.float64)
    weighted = one.support._replace(weight=kept)
    less = Batch(one.support.x[:4], one.support.y[:4])
    way = Estimator(NearestNeighbours(2))
    found, expected = (way.answer(net, net.start(), Episode(rows, one.query)) for rows in (weighted, less))
    assert torch.equal(found, expected)


def test_what_is_no_way_of_adapting_is_one_line() -> None:
    net, one = toy_net(), toy_task()
    for wrong, said in [
        (dict(estimator="os.system"), "neither metatl"),
        (dict(estimator="pathlib.Path"), "neither metatl"),
        (dict(estimator="nowhere.Forest"), "imported"),
        (dict(estimator=object()), "fit and predict"),
        (dict(on="outputs"), "inputs"),
        (dict(estimator=NearestNeighbours(), options={"k": 2}), "options"),
    ]:
        with pytest.raises(MetatlError, match=said):
            Estimator(**cast(dict[str, Any], wrong))
    with pytest.raises(MetatlError, match="k is 0"):
        NearestNeighbours(0)
    with pytest.raises(MetatlError, match="NearestNeighbours"):
        Estimator(options={"neighbours": 2}).fit(net, net.start(), one.support)
    headless = Net.of(nn.Sequential(nn.Conv1d(1, 2, 1)))
    for way in (ClosedForm(), Estimator()):
        with pytest.raises(MetatlError, match="head"):
            way.check(headless, headless.start(), False)
    wrong_labels = Batch(one.support.x, one.support.y + 1)
    for way in (ClosedForm(), Estimator(), InContext()):
        with pytest.raises(MetatlError, match="labels run from"):
            way.fit(net, net.start(), wrong_labels)
    reader = Net.of(Reader().double(), head="head").with_outputs(5)
    with pytest.raises(MetatlError, match="5 outputs"):
        InContext().answer(reader, reader.start(), one)


@dataclass(frozen=True)
class Broken(ClosedForm):
    """Class means, with one thing wrong."""

    fault: str = ""

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """Wrong where the fault lies in fitting."""
        if self.fault == "the second time":
            support = support._replace(x=support.x + torch.rand_like(support.x))
        if self.fault == "what is carried":
            transfer.params["head.bias"].add_(1.0)
        if self.fault == "order_free":
            support = support._replace(x=support.x * torch.arange(len(support.y))[:, None])
        return super().fit(net, transfer, support, key)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Tensor) -> Tensor:
        """Wrong where the fault lies in predicting."""
        output = super().predict(net, transfer, fitted, support, x)
        wrong = {
            "alone": lambda: output - output.mean(0),
            "another order": lambda: output + torch.arange(len(x))[:, None],
            "finite": lambda: output * float("nan"),
            "outputs are": lambda: output[:, :1],
        }
        return wrong.get(self.fault, lambda: output)()


FAULTS = ("", "the second time", "what is carried", "order_free", "alone", "another order", "finite")


@pytest.mark.parametrize("fault", [*FAULTS, "outputs are"])
def test_a_broken_way_is_caught(fault: str) -> None:
    net = toy_net()
    way = Broken(NearestCentroid(False, False), fault=fault)
    if not fault:
        check_adaptation(way, net, net.start(), toy_tasks(2))
        return
    with pytest.raises(AssertionError, match=fault):
        check_adaptation(way, net, net.start(), toy_tasks(2))


def test_a_way_that_reads_query_labels_is_caught() -> None:
    class Peeking(Descent):
        def answer(self, net: Net, transfer: Transfer, episode: Episode, *rest: Any, **named: Any) -> Tensor:
            return super().answer(net, transfer, episode, *rest, **named) + episode.query.y[:, None]

    net = toy_net()
    with pytest.raises(AssertionError, match="query labels"):
        check_adaptation(Peeking(SGD(0.1), 1), net, net.start(), toy_tasks(2))


@pytest.mark.parametrize("way", [Descent(SGD(0.1), 2), Laplace(Descent())], ids=["descent", "laplace"])
@pytest.mark.parametrize("real", [True, False])
def test_no_row_to_learn_from_is_one_line(way: Any, real: bool) -> None:
    net = Net.of(MLP((2,), 2, (4,)))
    y = torch.zeros(0, 2) if real else torch.zeros(0, dtype=torch.int64)
    episode = Episode(Batch(torch.zeros(0, 2), y), Batch(torch.zeros(3, 2), y))
    with pytest.raises(MetatlError, match="there is no labelled row"):
        way.answer(net, net.start(), episode)
