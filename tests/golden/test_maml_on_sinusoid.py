"""200 steps of MAML on sinusoid regression: the curve of query losses is the one on file.

Run as a script, this file writes the curve anew, after a change that is meant to change it.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from metatl.adapt import Descent
from metatl.data import Tasks
from metatl.data.sinusoid import Sinusoid
from metatl.engines import Batched
from metatl.learners import Episodic, State
from metatl.models import MLP
from metatl.net import Net
from metatl.rules import SGD, Adam
from metatl.train import train
from metatl.types import Metrics

FILE = Path(__file__).with_suffix(".json")
LEARNER = Episodic(200, 10, Tasks(2, 5, 5), Descent(SGD(0.01), 1), Adam(3e-3))


def curve() -> dict[str, list[float]]:
    """Query loss and first inner loss, means of ten steps each."""
    torch.manual_seed(0)
    net = Net.of(MLP((1,), 1, (40, 40)))
    query, inner = [], []

    def watch(_: State, metrics: Metrics) -> None:
        query.append(float(metrics["query_loss"]))
        inner.append(float(metrics["inner_loss/0"]))

    train(LEARNER, net, Batched(), LEARNER.init(net, net.start()), Sinusoid().load(), 0, [watch])
    return {
        name: np.array(values).reshape(-1, 10).mean(1).round(6).tolist()
        for name, values in (("query_loss", query), ("inner_loss/0", inner))
    }


def test_the_curve_is_the_one_on_file() -> None:
    expected, found = json.loads(FILE.read_text()), curve()
    for name, values in expected.items():
        # float32 sums in another order (threads, machines) drift apart over 200 steps, slowly.
        np.testing.assert_allclose(found[name][:5], values[:5], rtol=1e-3)
        np.testing.assert_allclose(found[name], values, rtol=2e-2)
    assert np.mean(found["query_loss"][-5:]) < 0.9 * np.mean(found["query_loss"][:2]), "it learns to adapt"
    assert np.mean(found["query_loss"][-5:]) < np.mean(found["inner_loss/0"][-5:]), "adapted is better"


if __name__ == "__main__":
    FILE.write_text(json.dumps(curve(), indent=1) + "\n")
