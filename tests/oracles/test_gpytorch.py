"""The exact Gaussian process beside gpytorch's.

Golden numbers of gpytorch 1.15.2 (ExactGP, ScaleKernel(RBFKernel), GaussianLikelihood, ConstantMean,
Cholesky, float64), from the rows below with output scale 1.5, length 1.2, noise 0.2 and mean 0.3:
ExactMarginalLogLikelihood times 8, mean and variance of likelihood(model(new)).
"""

from __future__ import annotations

import pytest
import torch

from metatl.adapt import GaussianProcess
from metatl.adapt.solvers import process

EVIDENCE = -9.536216167484035
MEAN = [0.09286091081408387, 0.18823462602732904, 0.291555822705627, 0.1147144694841623]
VARIANCE = [1.5506869484604422, 1.5390773393985724, 0.6695827580732145, 1.214974016267724]


def test_mean_variance_and_evidence_are_gpytorchs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "JITTER", 0.0)  # theirs adds none where a factor exists
    drawn = torch.Generator().manual_seed(0)
    x, y, new = (torch.randn(*n, generator=drawn, dtype=torch.float64) for n in ((8, 3), (8,), (4, 3)))
    values = {"log_scale": 1.5, "log_length": 1.2, "log_noise": 0.2}
    prior = {name: torch.tensor(value, dtype=torch.float64).log() for name, value in values.items()}
    prior["mean"] = torch.tensor(0.3, dtype=torch.float64)
    solver = GaussianProcess()
    fitted = solver.fit_under(prior, x, y, 1)
    assert solver.evidence(prior, x, y, 1).item() == pytest.approx(EVIDENCE, abs=1e-6)
    assert solver.predict(fitted, new)[:, 0].tolist() == pytest.approx(MEAN, abs=1e-6)
    assert solver.spread(fitted, new)[:, 0].tolist() == pytest.approx(VARIANCE, abs=1e-6)
