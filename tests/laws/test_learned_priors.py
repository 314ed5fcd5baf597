"""A prior learned over tasks by Episodic, through ClosedForm."""

from __future__ import annotations

import pytest
import torch

from metatl.adapt import BayesianLinear, ClosedForm, GaussianClasses, GaussianProcess, RidgeRegression
from metatl.data import Sinusoid, Tasks
from metatl.engines import Batched, Loop
from metatl.evaluation.evaluate import Evaluation, evaluate
from metatl.learners import Episodic
from metatl.models import MLP
from metatl.net import Net
from metatl.objectives import Evidence, GaussianNLL, Predictive, TaskLoss, Term
from metatl.train import train
from metatl.types import Batch, Episode, MetatlError
from tests.toys import assert_close, toy_data, toy_net

WAVES = Sinusoid(noise=0.02).load()
LINE = BayesianLinear(noise=0.02)


def wave_net() -> Net:
    torch.manual_seed(0)
    return Net.of(MLP((1,), 1, (16,), "tanh"))


def learner(way: ClosedForm, objective: Term, steps: int = 3) -> Episodic:
    return Episodic(steps, 4, Tasks(shot=5, query=12), way, objective=objective)


@pytest.mark.parametrize(
    ("solver", "objective"),
    [
        (BayesianLinear(), GaussianNLL()),
        (GaussianProcess(), Evidence()),
        (GaussianProcess("cosine"), GaussianNLL()),
    ],
)
def test_engines_agree_and_the_prior_is_learned(solver, objective) -> None:
    net = wave_net()
    net = Net.of(net.module.double())
    own = learner(ClosedForm(solver, growing=True), objective)
    state = own.init(net, net.start())
    loss = own.loss(net, state)
    tasks = own.draw(WAVES, 0, 0)
    tasks = Episode(*(Batch(part.x.double(), part.y.double()) for part in (tasks.support, tasks.query)))
    (one, _), (other, _) = (engine.grad(loss, loss.variables, tasks) for engine in (Loop(), Batched()))
    assert_close(other, one, 1e-9)
    names = [name for name in one if name.startswith("prior.")]
    assert names
    assert any(float(one[name].abs().max()) > 0 for name in names)
    after, _ = own.step(net, Loop(), state, tasks)
    assert any(not torch.equal(after.transfer.memory[name], state.transfer.memory[name]) for name in names)


@pytest.mark.parametrize("solver", [GaussianClasses(), GaussianProcess("cosine")])
def test_classes_are_learned_too(solver) -> None:
    data, net = toy_data(), toy_net(dtype=torch.float32)
    objective = Evidence() if isinstance(solver, GaussianProcess) else TaskLoss()
    own = Episodic(8, 4, Tasks(way=3, shot=2, query=4), ClosedForm(solver), objective=objective)
    state = own.init(net, net.start())
    before = float(own.step(net, Loop(), state, own.draw(data, 5, 0))[1]["query_loss"])
    state = train(own, net, Loop(), state, data, 0)
    assert float(own.step(net, Loop(), state, own.draw(data, 5, 0))[1]["query_loss"]) < before


def test_a_growing_support_is_its_first_rows() -> None:
    net, way = wave_net(), ClosedForm(LINE, growing=True)
    carried = learner(way, GaussianNLL()).init(net, net.start()).transfer
    episode = WAVES.draw("meta_train", Tasks(shot=3, query=8), 0, 0, 1)
    episode = Episode(*(Batch(part.x[0], part.y[0]) for part in (episode.support, episode.query)))
    told = way.learned_output(net, carried, episode)
    for row in range(8):
        few = row % 4
        support = Batch(episode.support.x[:few], episode.support.y[:few])
        alone = way.predictive(net, carried, Episode(support, episode.query))
        assert torch.allclose(told.mean[row], alone.mean[row], atol=1e-4)
        assert torch.allclose(told.variance[row], alone.variance[row], rtol=1e-3)


def test_every_score_of_a_spread_is_evaluated() -> None:
    net, way = wave_net(), ClosedForm(LINE)
    carried = learner(way, GaussianNLL()).init(net, net.start()).transfer
    found = {}
    for name in ("NLL", "coverage", "interval score"):
        ask = Evaluation(Tasks(shot=5, query=20), 4, score=name)
        one, other = (evaluate(net, carried, way, WAVES, ask, engine) for engine in (Loop(), Batched()))
        assert torch.allclose(torch.from_numpy(one.scores), torch.from_numpy(other.scores), atol=1e-4)
        found[name] = one.scores
    episode = WAVES.draw("meta_test", Tasks(shot=5, query=20), 0, 0, 1)
    first = Episode(*(Batch(part.x[0], part.y[0]) for part in (episode.support, episode.query)))
    told = way.predictive(net, carried, first)
    normal = torch.distributions.Normal(told.mean, told.sure().sqrt())
    assert found["NLL"][0] == pytest.approx(-float(normal.log_prob(first.query.y).mean()), abs=1e-4)
    low, high = told.interval(0.95)
    held = ((first.query.y >= low) & (first.query.y <= high)).double().mean()
    assert found["coverage"][0] == pytest.approx(float(held))
    with pytest.raises(MetatlError, match="says no spread"):
        evaluate(net, net.start(), ClosedForm(RidgeRegression()), WAVES, Evaluation(score="NLL"), Loop())


def test_losses_of_the_wrong_kind_are_one_clear_line() -> None:
    net = wave_net()
    for objective, line in ((Evidence(), "has no evidence"), (GaussianNLL(), "no variance")):
        own = learner(ClosedForm(RidgeRegression()), objective)
        state = own.init(net, net.start())
        with pytest.raises(MetatlError, match=line):
            own.step(net, Loop(), state, own.draw(WAVES, 0, 0))
    with pytest.raises(MetatlError, match="no variance"):
        Predictive(torch.zeros(2, 1)).interval(0.9)
