"""A Gaussian posterior of the output layer, around whatever an adaptation has fitted."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from metatl.adapt.around import Around
from metatl.adapt.layer_covariance import Form, LayerCovariance, kronecker, of_classes, variance
from metatl.adapt.prediction import predict_with
from metatl.adapt.solvers.evidence import best_ridge, widened
from metatl.adapt.support import at_the_door, check_some
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.types import Batch, Episode, MetatlError, Transfer


class OfValues(NamedTuple):
    """The inner adaptation's, the posterior of a layer of real values; noise [outputs]; wider 0-d."""

    fitted: Any
    covariance: LayerCovariance
    noise: Tensor
    wider: Tensor


class OfClasses(NamedTuple):
    """What the inner adaptation fitted, and the posterior of a layer of classes."""

    fitted: Any
    covariance: LayerCovariance


@dataclass(frozen=True)
class Laplace(Around):
    """Last-layer Laplace: W, b ~ N(fitted, H^-1) with H = sum_i w_i L_i (x) f_i f_i^T + precision I.

    f_i are the fitted net's features of support row i and a 1; L_i = diag(p_i) - p_i p_i^T for classes,
    diag(1 / noise) for real values. For classes the probit predictive softmax(o / sqrt(1 + pi/8 v)), v
    [n, outputs] the variances of the outputs o; for real values mean o and variance v + noise. The
    covariance is H^-1 itself, by equations in n c or c (d + 1) unknowns, whichever are fewer; with more than
    500 of both, or with `kronecker`, H ~ B (x) A + precision I (`layer_covariance`), which is H where all
    rows have one L_i, as those of real values have. It is around a mode where the inner adaptation minimises
    sum_i w_i CE_i + precision/2 |W, b|^2, or (y_i - o)^2 / (2 noise) in place of CE: near that of
    `GeneralisedLinear` with l2 = precision / n (times the noise), whose b is free. Source: MacKay 1992;
    Daxberger et al. 2021, arXiv 2106.14806.

    Args:
        adaptation: the inner one; the net's last layer must be linear.
        precision: of the prior, one for all weights of the layer.
        noise: variance of real targets around their outputs; None for that of every output under which the
            support rows are likeliest, given their features (`evidence.best_ridge`); then v + noise is
            widened by what is not known of it (`evidence.widened`).
        covariance: of classes, `auto` as said; `full` refuses more equations than 6,000.
    """

    precision: float = 1.0
    noise: float | None = 1.0
    covariance: Form = "auto"

    late: ClassVar[tuple[str, ...]] = ("precision",)

    def __post_init__(self) -> None:
        """Refuse a precision or noise that is not above 0."""
        if not (self.precision > 0 and (self.noise is None or self.noise > 0)):
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
        return self.finished(self.begun(net, transfer, support, key))

    def begun(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> tuple[Any, Any]:
        """The inner fit and the posterior around it for any precision, of real values with their noise."""
        check_some(support)
        support = at_the_door(net, support)
        y, weight = support.y, support.weight
        if not isinstance(y, Tensor) or y.dtype == torch.bool:
            raise MetatlError("Laplace is of one target a row: classes, or real values")
        fitted = self.adaptation.fit(net, transfer, support, key)
        with moments_from(Rows(frozen=self.moments == "frozen", weight=weight)):
            rows = _with_one(net.features(self._weights(net, transfer, fitted), transfer.buffers, support.x))
        counts = rows.new_ones(len(rows)) if weight is None else weight.double()
        scale = counts.sqrt()
        if y.is_floating_point():
            noise = self._noise(rows, y.double().reshape(len(rows), -1), counts)
            root = torch.diag_embed(scale[:, None] * noise.rsqrt())
            one = torch.ones_like(scale.sum())
            wider = one if self.noise is not None else widened(one, counts.sum() - 1)
            return fitted, (kronecker(rows, root, counts), noise, wider)
        outputs = self.adaptation.predict(net, transfer, fitted, support, support.x)
        chance = outputs.double().softmax(-1)
        half = chance.sqrt()
        root = (torch.diag_embed(half) - chance[:, :, None] * half[:, None]) * scale[:, None, None]
        return fitted, of_classes(self.covariance, rows, root, counts)

    def finished(self, begun: tuple[Any, Any]) -> OfValues | OfClasses:
        """The posterior under this precision."""
        fitted, curvature = begun
        if isinstance(curvature, tuple):
            covariance, noise, wider = curvature
            return OfValues(fitted, covariance(self.precision), noise, wider)
        return OfClasses(fitted, curvature(self.precision))

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs]: of classes o / sqrt(1 + pi/8 v), of real values o."""
        outputs = self.adaptation.predict(net, transfer, fitted.fitted, support, x)
        if isinstance(fitted, OfValues):
            return outputs
        new = self._features(net, transfer, fitted, support, x)
        found = LayerCovariance(*fitted.covariance)
        sure = (1.0 + math.pi / 8 * variance(found, new, self.precision)).sqrt()
        return (outputs / sure).to(outputs.dtype)

    def spread(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """v + noise, wider where the noise is an estimate, [n, outputs]."""
        if not isinstance(fitted, OfValues):
            raise MetatlError("Laplace: classes have probabilities, and no spread")
        new = self._features(net, transfer, fitted, support, x)
        return (
            variance(LayerCovariance(*fitted.covariance), new, self.precision) + fitted.noise
        ) * fitted.wider

    def adapted(self, net: Net, transfer: Transfer, fitted: Any) -> Transfer:
        """The weights that the inner one moved."""
        return self.adaptation.adapted(net, transfer, fitted.fitted)

    def _noise(self, rows: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """[outputs]."""
        if self.noise is not None:
            return rows.new_full((y.shape[1],), self.noise)
        return best_ridge(rows, y, weight)[1].detach()

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


def _with_one(features: Tensor) -> Tensor:
    """[n, d + 1] float64."""
    one = features.new_ones(*features.shape[:-1], 1)
    return torch.cat([features, one], -1).double()
