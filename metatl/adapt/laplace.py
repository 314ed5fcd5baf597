"""A Gaussian posterior of the output layer, around whatever an adaptation has fitted."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from metatl.adapt.around import Around
from metatl.adapt.last_layer import Begun, OfValues, Posterior, begun, variances
from metatl.adapt.layer_covariance import Form
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer


@dataclass(frozen=True)
class Laplace(Around):
    """Last-layer Laplace: W, b ~ N(fitted, H^-1) with H = sum_i w_i L_i (x) f_i f_i^T + precision I.

    f_i are the fitted net's features of support row i and a 1; L_i = diag(p_i) - p_i p_i^T for classes,
    diag(1 / noise) for real values. For classes the probit predictive softmax(o / sqrt(1 + pi/8 v)), v
    [n, outputs] the variances of the outputs o; for real values mean o and variance v + noise. The
    covariance is H^-1 itself, by equations in n c or c (d + 1) unknowns, whichever are fewer; with more than
    500 of both, or with `kronecker`, H ~ B (x) A + precision I (`layer_covariance`), which is H where all
    rows have one L_i, as those of real values have. It is around a mode where the inner adaptation minimises
    sum_i w_i CE_i + precision/2 |W, b|^2, or (y_i - o)^2 / (2 noise) in place of CE (`GeneralisedLinear`: l2
    = precision / n, times the noise; b is free). MacKay 1992; Daxberger et al. 2021, arXiv 2106.14806.

    Args:
        adaptation: the inner one; the net's last layer must be linear.
        precision: of the prior, one for all weights of the layer.
        noise: variance of real targets around their outputs; None for that of each output under which the
            rows are likeliest (`evidence.best_ridge`), with v + noise widened (`evidence.widened`).
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

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Posterior:
        """The inner fit, and the posterior around it."""
        return self.finished(self.begun(net, transfer, support, key))

    def begun(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Begun:
        """The inner fit and the posterior around it for any precision."""
        return begun(self.adaptation, self.noise, self.covariance, net, transfer, support, key)

    def finished(self, begun: Begun) -> Posterior:
        """The posterior under this precision."""
        return begun(self.precision)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs]: of classes o / sqrt(1 + pi/8 v), of real values o."""
        outputs = self.adaptation.predict(net, transfer, fitted.fitted, support, x)
        if isinstance(fitted, OfValues):
            return outputs
        found = variances(self.adaptation, self.precision, net, transfer, fitted, support, x)
        return (outputs / (1.0 + math.pi / 8 * found).sqrt()).to(outputs.dtype)

    def spread(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """v + noise, wider where the noise is an estimate, [n, outputs]."""
        if not isinstance(fitted, OfValues):
            raise MetatlError("Laplace: classes have probabilities, and no spread")
        found = variances(self.adaptation, self.precision, net, transfer, fitted, support, x)
        return (found + fitted.noise) * fitted.wider

    def adapted(self, net: Net, transfer: Transfer, fitted: Any) -> Transfer:
        """The weights that the inner one moved."""
        return self.adaptation.adapted(net, transfer, fitted.fitted)
