"""Sinusoid tasks: the published distribution, exactly on the wave."""

from __future__ import annotations

import math

import pytest
import torch

from metatl.data import Sinusoid, Tasks
from metatl.types import MetatlError


def test_points_lie_on_their_wave() -> None:
    own = Sinusoid().load()
    episode = own.draw("meta_train", Tasks(shot=10, query=7), 0, 4, 25)
    amplitude, phase = own.waves("meta_train", 0, 4, 25)
    assert episode.support.x.shape == episode.support.y.shape == (25, 10, 1)
    assert episode.query.x.shape == (25, 7, 1)
    for x, y, _ in (episode.support, episode.query):
        assert x.dtype == y.dtype == torch.float32
        wave = amplitude[:, None, None] * torch.sin(x.double() - phase[:, None, None])
        assert torch.allclose(y.double(), wave, rtol=0, atol=1e-6)
    fewer = own.draw("meta_train", Tasks(shot=5, query=0), 0, 4, 25)
    assert torch.equal(fewer.support.x, episode.support.x[:, :5])
    assert fewer.query.y.shape == (25, 0, 1)
    assert own.outputs(Tasks()) == 1
    assert own.classes("meta_train") == 0
    assert own.kind == "regression"


def test_the_distribution_is_the_published_one() -> None:
    own = Sinusoid().load()
    amplitude, phase = own.waves("meta_test", 3, 0, 20000)
    x = own.draw("meta_test", Tasks(shot=5, query=5), 3, 0, 2000).support.x
    for values, low, high in ((amplitude, 0.1, 5.0), (phase, 0.0, math.pi), (x, -5.0, 5.0)):
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
        assert abs(values.mean() - (low + high) / 2) < 0.02 * (high - low)
        assert abs(values.var() / ((high - low) ** 2 / 12) - 1) < 0.05
    assert abs(torch.corrcoef(torch.stack([amplitude, phase]))[0, 1]) < 0.03


def test_batches_mix_waves() -> None:
    own = Sinusoid().load()
    x, y, _ = own.batch("meta_train", 4000, 0, 0)
    assert x.shape == y.shape == (4000, 1)
    close = (x[:, 0] - 1.0).abs() < 0.2
    assert y[close].std() > 1  # at one place the waves disagree
    halves = [own.batch("meta_train", 2000, 0, step) for step in (0, 1)]
    assert torch.equal(torch.cat([half.x for half in halves]), x)
    assert not torch.equal(own.batch("meta_train", 2000, 1, 0).x, halves[0].x)


def test_fields_can_be_changed_and_are_checked() -> None:
    own = Sinusoid(amplitude=(2.0, 2.0), phase=(0.0, 0.0)).load()
    x, y, _ = own.draw("meta_val", Tasks(), 0, 0, 3).query
    assert torch.allclose(y, 2 * torch.sin(x), atol=1e-6)
    assert own.fingerprint("meta_val", Tasks(), 0, 3) != Sinusoid().load().fingerprint(
        "meta_val", Tasks(), 0, 3
    )
    with pytest.raises(MetatlError, match=r"amplitude is \[3.0, 1.0\]"):
        Sinusoid(amplitude=(3.0, 1.0)).load()


def test_noise_is_normal_and_leaves_the_places_alone() -> None:
    noisy, plain = Sinusoid(noise=0.02).load(), Sinusoid().load()
    tasks = Tasks(shot=10, query=40)
    one, two = (own.draw("meta_test", tasks, 1, 0, 400) for own in (noisy, plain))
    assert torch.equal(one.query.x, two.query.x)
    assert torch.equal(two.support.y, plain.draw("meta_test", tasks, 1, 0, 400).support.y)
    error = torch.cat([one.support.y - two.support.y, one.query.y - two.query.y], 1) / 0.02**0.5
    assert abs(error.mean()) < 0.02
    assert abs(error.var() - 1) < 0.03
    assert abs((error.abs() < 1.959964).double().mean() - 0.95) < 0.006
    own = noisy.draw("meta_test", tasks, 1, 7, 3).query.y
    assert torch.equal(own, one.query.y[7:10])  # an episode is a function of its place
    assert noisy.describe() != plain.describe()
    assert "noise" not in plain.describe()
    with pytest.raises(MetatlError, match="variance"):
        Sinusoid(noise=-1.0).load()
