"""A Gaussian posterior of an output layer that an adaptation has fitted, and the variances under it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.layer_covariance import Form, LayerCovariance, kronecker, of_classes, variance
from metatl.adapt.prediction import predict_with
from metatl.adapt.solvers.evidence import best_ridge, widened
from metatl.adapt.solvers.matrix_normal import with_one
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


Posterior = OfValues | OfClasses
Begun = Callable[[float], Posterior]
"""The posterior under a prior of this precision; what does not depend on it is computed once."""


def begun(
    inner: Adaptation,
    noise: float | None,
    form: Form,
    net: Net,
    transfer: Transfer,
    support: Batch,
    key: int,
) -> Begun:
    """The inner fit, and the posterior around it; noise and form as those of `Laplace`."""
    check_some(support)
    support = at_the_door(net, support)
    if not isinstance(support.y, Tensor) or support.y.dtype == torch.bool:
        raise MetatlError("Laplace is of one target a row: classes, or real values")
    fitted = inner.fit(net, transfer, support, key)
    weights = inner.adapted(net, transfer, fitted).params
    with moments_from(Rows(frozen=inner.moments == "frozen", weight=support.weight)):
        rows = with_one(net.features(weights, transfer.buffers, support.x)).double()
    if support.y.is_floating_point():
        return _of_values(fitted, noise, rows, support)
    outputs = inner.predict(net, transfer, fitted, support, support.x)
    return _of_labels(fitted, form, rows, support, outputs)


def _of_values(fitted: Any, noise: float | None, rows: Tensor, support: Batch) -> Begun:
    """L_i = diag(1 / noise), features and a 1 rows [n, d + 1]; noise as of `Laplace`."""
    y, counts = support.y.double().reshape(len(rows), -1), _counts(rows, support)
    found, wider = rows.new_full((y.shape[1],), noise or 1.0), torch.ones_like(counts.sum())
    if noise is None:
        found, wider = best_ridge(rows, y, counts)[1].detach(), widened(wider, counts.sum() - 1)
    under = kronecker(rows, torch.diag_embed(counts.sqrt()[:, None] * found.rsqrt()), counts)
    return lambda precision: OfValues(fitted, under(precision), found, wider)


def _of_labels(fitted: Any, form: Form, rows: Tensor, support: Batch, outputs: Tensor) -> Begun:
    """L_i = diag(p_i) - p_i p_i^T, p_i the softmax of outputs [n, c] of rows [n, d + 1]."""
    chance, counts = outputs.double().softmax(-1), _counts(rows, support)
    half = chance.sqrt()
    root = (torch.diag_embed(half) - chance[:, :, None] * half[:, None]) * counts.sqrt()[:, None, None]
    under = of_classes(form, rows, root, counts)
    return lambda precision: OfClasses(fitted, under(precision))


def variances(
    inner: Adaptation, precision: float, net: Net, transfer: Transfer, found: Any, support: Batch, x: Any
) -> Tensor:
    """v [n, outputs] of the outputs for the rows x."""
    weights = inner.adapted(net, transfer, found.fitted).params

    def features(some: Any) -> Tensor:
        return net.features(weights, transfer.buffers, some)

    new = predict_with(features, net.batch_moments, Episode(support, Batch(x)), inner.moments)
    return variance(LayerCovariance(*found.covariance), with_one(new).double(), precision)


def _counts(rows: Tensor, support: Batch) -> Tensor:
    return rows.new_ones(len(rows)) if support.weight is None else support.weight.double()
