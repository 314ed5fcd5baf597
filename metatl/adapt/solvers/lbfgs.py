"""One large multinomial logistic regression, by L-BFGS in the span of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metatl.deadline import in_time

Array = NDArray[np.float64]
NEARLY = 1e-5
"""A row whose distance from the span of earlier rows is below this share of the largest depends on them."""


def minimum(x: Array, target: Array, share: Array, l2: float, iterations: int) -> Array:
    """The minimum of l2/2 |W|^2 - sum_ic t_ic log softmax_c(W x_i + b): [classes, d + 1], b last, from W = 0.

    x: [n, d], centred by the shares; target: [n, classes], a row's share at its class; share: [n], 0 leaves a
    row out.
    """
    counted = share > 0
    target, portion = target[counted], share[counted, None]
    rows, back = _in_span(x[counted], share[counted])
    classes, width = target.shape[1], rows.shape[1]

    def loss(flat: Array) -> tuple[float, Array]:
        in_time()
        layer, gradient = flat.reshape(classes, width + 1), np.empty((classes, width + 1))
        weight = layer[:, :-1]
        log = rows @ weight.T + layer[:, -1]
        log -= log.max(1, keepdims=True)
        log -= np.log(np.exp(log).sum(1, keepdims=True))
        error = portion * np.exp(log) - target
        gradient[:, :-1], gradient[:, -1] = error.T @ rows + l2 * weight, error.sum(0)
        value = 0.5 * l2 * (weight * weight).sum() - (target * log).sum()
        return float(value), gradient.reshape(-1)

    layer = lowest(loss, classes * (width + 1), iterations).reshape(classes, width + 1)
    return np.concatenate([back(layer[:, :-1]), layer[:, -1:]], 1)


def lowest(loss: Callable[[Array], tuple[float, Array]], size: int, iterations: int) -> Array:
    """Where a convex loss is lowest, [size], by scipy's L-BFGS from 0."""
    from scipy.optimize import minimize  # takes a while to import

    options = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20, "ftol": 0.0, "gtol": 1e-9}
    found: Any = minimize(loss, np.zeros(size), jac=True, method="L-BFGS-B", options=options)
    return found.x


def _in_span(x: Array, share: Array) -> tuple[Array, Callable[[Array], Array]]:
    """Centred rows x [n, d] in coordinates of their span [n, n - 1], and what takes W there back to [c, d].

    L L^T = X X^T over all rows but the last, which the others give, as the rows' weighted sum is 0. The
    minimum lies in that span, and lengths are the same there. Rows that (nearly) depend on one another in
    another way, or are more than d, stay as they are.
    """
    most, rows = torch.from_numpy(x[:-1]), x.shape[0]
    if not 1 < rows <= x.shape[1]:
        return x, lambda weight: weight
    root, failed = torch.linalg.cholesky_ex(most @ most.T)
    pivots = root.diagonal()
    if bool(failed) or not bool(pivots.min() > NEARLY * pivots.max()):
        return x, lambda weight: weight
    last = -(share[None, :-1] @ root.numpy()) / share[-1]

    def back(weight: Array) -> Array:
        inside = torch.from_numpy(weight)
        return (torch.linalg.solve_triangular(root, inside, upper=False, left=False) @ most).numpy()

    return np.concatenate([root.numpy(), last]), back
