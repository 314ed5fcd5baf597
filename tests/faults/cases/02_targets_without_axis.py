"""Targets [n] beside outputs [n, 1] are n pairs: never n times n differences."""

import warnings

import torch
from torch import nn

from metatl import Descent, Batch, Episode, MetatlError, Net
from metatl.engines import Batched, Loop

from metatl.rules import SGD
from tests.outer import Outer, outer_gradient

torch.set_num_threads(1)
warnings.simplefilter("ignore")
torch.manual_seed(0)
module, x = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1)), torch.linspace(-1, 1, 10)[:, None]
net, y = Net.of(module), 3 * x[:, 0]
start, right = net.start(), float((module(x)[:, 0] - y).square().mean())


def error(targets):
    """Mean squared error, by hand, of the weights that 300 steps on these targets give; 0 for a refusal."""
    try:
        module.load_state_dict(Descent(SGD(0.1), steps=300)(net, start, Batch(x, targets)))
    except MetatlError:
        return 0.0
    return float((module(x)[:, 0] - y).square().mean())


found = {"targets [n]": error(y), "targets [n, 1]": error(y[:, None])}
assert max(found.values()) < 0.05, f"mse after 300 steps {found}; right is the second"
rows = Batch(x.repeat(2, 1, 1), y.repeat(2, 1))  # two equal tasks, no steps: the query loss is the start's
for engine in (Loop(), Batched()):
    try:
        seen = outer_gradient(engine, net, start, Descent(steps=0), Episode(rows, rows), Outer())[1][
            "query_loss"
        ]
    except MetatlError:
        continue
    assert abs(float(seen) - right) < 1e-5, (
        f"{type(engine).__name__}: query loss {seen:.3f}, right is {right:.3f}"
    )
