"""The posterior of the output layer beside laplace-torch's.

Golden numbers of laplace-torch 0.3 (subset_of_weights last_layer, hessian_structure full, curvlinops' GGN,
prior_precision 0.7, float64) around a linear layer with the weights below: the probit predictive of three
classes, and mean and variance of three real values with sigma_noise 0.5, whose variance leaves out the noise.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from metatl.adapt import Descent, Laplace, head_net
from metatl.heads import Learned
from metatl.types import Batch, Episode

PROBABILITIES = [
    [0.017040005480972294, 0.9178810216829244, 0.06507897283610334],
    [0.1484997620389944, 0.09740187979372268, 0.754098358167283],
    [0.47517046504184063, 0.05119111235622703, 0.47363842260193245],
]
MEAN = [
    [-2.628458415758137, 7.0046807369753, 0.4792723280603487],
    [-0.8955511894426034, -1.8124594335425592, 1.8645366317960694],
    [1.2588036164934682, -4.576382990853388, 1.3148347722002653],
]
VARIANCE = [1.1118674848844736, 0.24695202351041046, 0.5288514844490648]
"""Of every query row, the same for the three values."""


def drawn() -> tuple[Tensor, ...]:
    made, shapes = torch.Generator().manual_seed(0), ((9, 4), (3, 4), (3, 4), (3,), (9, 3))
    return tuple(torch.randn(*shape, generator=made, dtype=torch.float64) for shape in shapes)


@pytest.mark.parametrize("real", [False, True])
def test_predictions_are_laplace_torchs(real: bool) -> None:
    x, new, weight, bias, values = drawn()
    net, transfer = head_net(4, 3)
    start = replace(transfer, params={"head.weight": weight, "head.bias": bias})
    way = Laplace(Descent(steps=0, head=Learned(), moments="frozen"), precision=0.7, noise=0.25)
    task = Episode(Batch(x, values if real else torch.arange(9) % 3), Batch(new))
    if not real:
        found = way.answer(net, start, task).softmax(-1)
        torch.testing.assert_close(found, torch.tensor(PROBABILITIES).double(), rtol=0, atol=1e-6)
        return
    told = way.predictive(net, start, task)
    torch.testing.assert_close(told.mean, torch.tensor(MEAN).double(), rtol=0, atol=1e-6)
    wanted = torch.tensor(VARIANCE, dtype=torch.float64)[:, None].expand(3, 3)
    torch.testing.assert_close(told.sure() - 0.25, wanted, rtol=0, atol=1e-6)
