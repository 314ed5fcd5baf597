"""A Gaussian posterior of the output layer, around whatever an adaptation has fitted."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metatl.adapt.around import Around
from metatl.adapt.prediction import predict_with
from metatl.adapt.support import at_the_door
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Batch, Episode, MetatlError, Transfer

MOST = 6000
"""Unknowns of the equations, at most: a matrix of 288 MB."""


class OfValues(NamedTuple):
    """What the inner adaptation fitted, and the posterior of a layer of real values.

    rows [n, d + 1]: support features and a 1, times sqrt(weight / noise); factor [n, n] of rows rows^T +
    precision I, lower triangular.
    """

    fitted: Any
    rows: Tensor
    factor: Tensor


class OfClasses(NamedTuple):
    """The same for classes, factor [n c, n c]; root [n, c, c]: R_i with w_i L_i = R_i R_i^T."""

    fitted: Any
    rows: Tensor
    factor: Tensor
    root: Tensor


@dataclass(frozen=True)
class Laplace(Around):
    """Last-layer Laplace: W, b ~ N(fitted, H^-1) with H = sum_i w_i L_i (x) f_i f_i^T + precision I.

    f_i are the fitted net's features of support row i and a 1; L_i = diag(p_i) - p_i p_i^T for classes,
    I / noise for real values. For classes the probit predictive softmax(o / sqrt(1 + pi/8 v)), v [n, outputs]
    the variances of the outputs o; for real values mean o and variance v + noise. Full covariance, by
    equations in n c unknowns (Woodbury's identity), n of real values. It is around a mode where the inner
    adaptation minimises sum_i w_i CE_i + precision/2 |W, b|^2: near that of `LogisticRegression` with
    l2 = precision / n, whose b is free. Source: MacKay 1992; Daxberger et al.
    2021, arXiv 2106.14806.

    Args:
        adaptation: the inner one; the net's last layer must be linear.
        precision: of the prior, one for all weights of the layer.
        noise: variance of real targets around their outputs.
    """

    precision: float = 1.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        """Refuse a precision or noise that is not above 0."""
        if not (self.precision > 0 and self.noise > 0):
            raise MetatlError("Laplace: precision and noise must be above 0")

    @property
    def spreads(self) -> bool:
        """Of real values."""
        return True

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """The inner one's; the net needs a linear output layer."""
        super().check(net, transfer, real)
        if net.head is None:
            raise MetatlError("Laplace needs a net with a linear output layer; name one (head)")

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> OfValues | OfClasses:
        """The inner fit, and the posterior around it."""
        support = at_the_door(net, support)
        y, weight = support.y, support.weight
        if not isinstance(y, Tensor) or y.dtype == torch.bool:
            raise MetatlError("Laplace is of one target a row: classes, or real values")
        fitted = self.adaptation.fit(net, transfer, support, key)
        with moments_from(Rows(frozen=self.moments == "frozen", weight=weight)):
            rows = _with_one(net.features(self._weights(net, transfer, fitted), transfer.buffers, support.x))
        scale = rows.new_ones(len(rows)) if weight is None else weight.double().sqrt()
        if y.is_floating_point():
            rows = rows * scale[:, None] / math.sqrt(self.noise)
            return OfValues(fitted, rows, self._factor(rows @ rows.mT))
        outputs = self.adaptation.predict(net, transfer, fitted, support, support.x)
        chance = outputs.double().softmax(-1)
        half = chance.sqrt()
        root = (torch.diag_embed(half) - chance[:, :, None] * half[:, None]) * scale[:, None, None]
        size = root.shape[0] * root.shape[1]
        if size > MOST:
            raise MetatlError(
                f"Laplace: {len(rows)} rows of {root.shape[1]} classes are {size} equations; {MOST} at most"
            )
        cross = torch.einsum("icm,jcl,ij->imjl", root, root, rows @ rows.mT)
        return OfClasses(fitted, rows, self._factor(cross.reshape(size, size)), root)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs]: of classes o / sqrt(1 + pi/8 v), of real values o."""
        outputs = self.adaptation.predict(net, transfer, fitted.fitted, support, x)
        if isinstance(fitted, OfValues):
            return outputs
        new, root = self._features(net, transfer, fitted, support, x), fitted.root
        g = torch.einsum("qi,icm->qcim", new @ fitted.rows.mT, root).flatten(-2)
        sure = (1.0 + math.pi / 8 * self._variance(new[:, None], g, fitted.factor)).sqrt()
        return (outputs / sure).to(outputs.dtype)

    def spread(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """v + noise, [n, outputs]."""
        if not isinstance(fitted, OfValues):
            raise MetatlError("Laplace: classes have probabilities, and no spread")
        new = self._features(net, transfer, fitted, support, x)
        variance = self._variance(new, new @ fitted.rows.mT, fitted.factor) + self.noise
        return variance[:, None].expand(-1, net.outputs)

    def adapted(self, net: Net, transfer: Transfer, fitted: Any) -> Transfer:
        """The weights that the inner one moved."""
        return self.adaptation.adapted(net, transfer, fitted.fitted)

    def _factor(self, products: Tensor) -> Tensor:
        eye = torch.eye(len(products), dtype=products.dtype, device=products.device)
        return torch.linalg.cholesky_ex(products + self.precision * eye)[0]

    def _weights(self, net: Net, transfer: Transfer, fitted: Any) -> Any:
        return self.adaptation.adapted(net, transfer, fitted).params

    def _features(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Of the rows x under the fitted weights, with a 1, [n, d + 1]."""
        weights = self._weights(net, transfer, fitted.fitted)
        episode = Episode(support, Batch(x))
        return _with_one(
            predict_with(
                lambda some: net.features(weights, transfer.buffers, some),
                net.batch_moments,
                episode,
                self.moments,
            )
        )

    def _variance(self, new: Tensor, g: Tensor, factor: Tensor) -> Tensor:
        """(|f|^2 - g K^-1 g^T) / precision: features f [..., d + 1], g [..., equations]."""
        flat = g.reshape(-1, g.shape[-1])
        solved = torch.linalg.solve_triangular(factor, flat.mT, upper=False)
        told = solved.square().sum(0).reshape(g.shape[:-1])
        return (new.square().sum(-1) - told).clamp_min(0.0) / self.precision


def _with_one(features: Tensor) -> Tensor:
    """[n, d + 1] float64."""
    one = features.new_ones(*features.shape[:-1], 1)
    return torch.cat([features, one], -1).double()
