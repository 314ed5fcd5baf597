"""Centroids centred by the source: the mean that is carried, and what is done with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from metatl.adapt import ClosedForm
from metatl.adapt.solvers import GaussianClasses, NearestCentroid
from metatl.engines import Loop
from metatl.lab import config
from metatl.learners import Keep, SourceMean
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.train import train
from metatl.types import Batch, Episode, MetatlError, Transfer
from tests.toys import WAY, toy_data, toy_net, toy_task

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
TABLES = ("omniglot/quick", "gtl-alphabets", "gtl-mnist")


def learned(net: Net, learner: SourceMean, start: Transfer, seed: int = 0) -> Transfer:
    state = train(learner, net, Loop(), learner.init(net, start), toy_data(), seed)
    return learner.finish(net, state)


def test_it_carries_the_mean_feature_of_the_rows_that_it_draws() -> None:
    net, data = toy_net(norm=True, dtype=torch.float32), toy_data()
    start, learner = net.start(), SourceMean(3, 7)
    carried = learned(net, learner, start, 5)
    rows = torch.cat([data.batch("meta_train", 7, 5, step).x for step in range(3)])
    with moments_from(Rows(frozen=True)):
        want = net.features(start.params, start.buffers, rows).mean(0)
    torch.testing.assert_close(carried.memory["prior.centre"], want)
    assert all(torch.equal(carried.params[n], leaf) for n, leaf in start.params.items())


def test_centroids_take_it_off_in_place_of_the_supports_own_mean() -> None:
    y = toy_task().support.y
    centre = torch.randn(6, dtype=torch.float64)
    features, new = torch.randn(len(y), 6).double(), torch.randn(4, 6).double()
    fitted = NearestCentroid().fit_under({"centre": centre}, features, y, WAY)
    z, q = F.normalize(features - centre), F.normalize(new - centre)
    means = torch.stack([z[y == c].mean(0) for c in range(WAY)])
    torch.testing.assert_close(NearestCentroid().predict(fitted, new), -torch.cdist(q, means).square())
    moved = NearestCentroid().fit_under({"centre": centre + 3}, features + 3, y, WAY)
    torch.testing.assert_close(
        NearestCentroid().predict(moved, new + 3), NearestCentroid().predict(fitted, new)
    )
    bare = NearestCentroid(centred=False)
    assert torch.equal(bare.fit_under({"centre": centre}, features, y, WAY).shift, torch.zeros(6).double())


def test_one_row_a_class_is_told_apart_where_its_own_mean_tells_least() -> None:
    """Of one row its own mean leaves nothing: all features are 0; the source's leaves its direction."""
    net = toy_net(dtype=torch.float32)
    task = Episode(
        Batch(toy_task().support.x[:1].float(), torch.zeros(1, dtype=torch.int64)), toy_task().query
    )
    own = ClosedForm().fit(net, net.start(), task.support)
    assert float(own.means.norm()) == 0
    start = learned(net, SourceMean(2, 4), net.start())
    assert float(ClosedForm().fit(net, start, task.support).means.norm()) == pytest.approx(1)


def test_a_solver_with_another_prior_says_so() -> None:
    net = toy_net(dtype=torch.float32)
    carried = learned(net, SourceMean(2, 8), net.start())
    support = toy_task().support._replace(x=toy_task().support.x.float())
    with pytest.raises(MetatlError, match=r"another kind \(centre\), and GaussianClasses reads centre, log"):
        ClosedForm(GaussianClasses()).fit(net, carried, support)


def test_no_step_and_no_labelled_row_are_refused() -> None:
    with pytest.raises(MetatlError, match="1 or more"):
        SourceMean(0)
    net = toy_net(dtype=torch.float32)
    start = learned(net, SourceMean(2, 4), net.start())
    none = Batch(toy_task().support.x[:0].float(), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(MetatlError, match="at least one row"):
        ClosedForm().fit(net, start, none)


@pytest.mark.parametrize("folder", TABLES)
def test_every_few_shot_table_has_the_baselines_of_today(folder: str) -> None:
    found = {
        name: config.load(CONFIGS / f"{folder}.yaml" / name)
        for name in ("centroids", "rfs", "baseline-plus-plus")
    }
    solvers = [type(one.adaptation.solver).__name__ for one in found.values()]  # type: ignore[attr-defined]
    assert solvers == ["NearestCentroid", "UnitLogistic", "CosineClassifier"]
    assert all(isinstance(one.learner, Keep) for one in found.values())
    start = config.load(CONFIGS / f"{folder}.yaml" / "source-mean")
    assert isinstance(start.learner, SourceMean)
    assert found["centroids"].start is not None
    assert found["centroids"].start.endswith("source-mean")
