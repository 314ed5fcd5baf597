"""A shared latent space of unlike inputs, learned from unpaired rows that are labelled on both sides."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from metatl.types import MetatlError


@dataclass(frozen=True)
class Latent:
    """Encoders of source and target, and the one classifier behind both."""

    source: nn.Module
    target: nn.Module
    classifier: nn.Module

    def predict(self, z: Tensor) -> Tensor:
        """Logits [m, classes] of target rows [m, e]."""
        with torch.no_grad():
            return self.classifier(self.target(z))


def apart(f: Tensor, y: Tensor, g: Tensor, t: Tensor) -> Tensor:
    """Sum over classes of both y and t of |mean of f [n, k] there - mean of g [m, k]|^2, 0-d; else 0."""
    shared = sorted({*y.tolist()} & {*t.tolist()})
    gaps = [(f[y == one].mean(0) - g[t == one].mean(0)).square().sum() for one in shared]
    return torch.stack(gaps).sum() if gaps else f.new_zeros(())


@dataclass(frozen=True)
class SharedLatent:
    """CE_s + CE_t + rho (|x - d_s(f_s(x))|^2 + |z - d_t(f_t(z))|^2) + lam sum_c |mu_c^s - mu_c^t|^2.

    Encoders f_s, f_t: a hidden layer and `width` outputs; one linear classifier on both; d_s, d_t linear.
    All rows at once, Adam. Rows should be standardised by what the encoder is fitted to.

    Args:
        width: of the latent space.
        hidden: units of an encoder.
        rho: of the reconstructions, means over rows and columns.
        lam: of the distance between class means.
        lr: of Adam.
        steps: of it.
    """

    width: int = 16
    hidden: int = 64
    rho: float = 0.1
    lam: float = 1.0
    lr: float = 3e-3
    steps: int = 300

    def __post_init__(self) -> None:
        """Refuse what is no space and no weight."""
        if min(self.width, self.hidden, self.steps) < 1 or min(self.rho, self.lam) < 0 or not self.lr > 0:
            raise MetatlError("SharedLatent: width, hidden, steps from 1 on; rho, lam from 0 on; lr above 0")

    def fit(self, x: Tensor, y: Tensor, z: Tensor, t: Tensor, classes: int, seed: int = 0) -> Latent:
        """From source rows [n, d] with classes y and target rows [m, e] with classes t; no row is paired."""
        if not {*y.tolist()} & {*t.tolist()}:
            raise MetatlError("SharedLatent: no class has rows on both sides, so nothing says what is alike")
        with torch.enable_grad():
            return self._fit(x, y, z, t, classes, seed)

    def _fit(self, x: Tensor, y: Tensor, z: Tensor, t: Tensor, classes: int, seed: int) -> Latent:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = Latent(self._encoder(x), self._encoder(z), nn.Linear(self.width, classes))
            back = [nn.Linear(self.width, rows.shape[1]) for rows in (x, z)]
        weights = [p for m in (made.source, made.target, made.classifier, *back) for p in m.parameters()]
        rule = torch.optim.Adam(weights, lr=self.lr)
        for _ in range(self.steps):
            rule.zero_grad()
            f, g = made.source(x), made.target(z)
            loss = self.lam * apart(f, y, g, t)
            for latent, rows, labels, decode in ((f, x, y, back[0]), (g, z, t, back[1])):
                loss = loss + nn.functional.cross_entropy(made.classifier(latent), labels)
                loss = loss + self.rho * (rows - decode(latent)).square().mean()
            loss.backward()
            rule.step()
        return made

    def _encoder(self, rows: Tensor) -> nn.Module:
        return nn.Sequential(
            nn.Linear(rows.shape[1], self.hidden), nn.ReLU(), nn.Linear(self.hidden, self.width)
        )
