"""Minima of penalised multinomial cross-entropies, of many problems side by side, also under vmap."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.adapt.solvers import lbfgs, newton
from metatl.adapt.solvers.solver import ABSENT
from metatl.types import MetatlError

Array = NDArray[np.float64]
SMALL = 400
"""Unknowns up to which Newton's equations are solved; L-BFGS takes over where they would be larger."""


class Penalised(NamedTuple):
    """What `LogisticRegression` says."""

    l2: float
    scaled: bool
    iterations: int


def likeliest(features: Tensor, member: Tensor, weight: Tensor, how: Penalised) -> Tensor:
    """Features [..., n, d], members [..., n, outputs], weights [..., n] -> layers [..., outputs, d + 1].

    In float64, biases last; constant for derivatives. Leading axes are problems side by side.
    """
    return cast(Tensor, _Minimum.apply(features, member, weight, how))


def minima(x: Array, member: Array, weight: Array, how: Penalised) -> Array:
    """The minima of problems side by side, [problems, outputs, d + 1], biases last.

    x: [problems, n, d]; member: [problems, n, outputs], 1 at a row's class; weight: [problems, n].
    """
    if not np.isfinite(x).all():
        raise MetatlError("LogisticRegression: a feature is not finite; check the inputs and the net")
    share = weight / weight.sum(1, keepdims=True)
    # In centred and scaled features the same minimum is found in far fewer iterations.
    mean = share[:, None] @ x
    x = x - mean
    scale = _deviation(x, share, mean) if how.scaled else np.ones((len(x), 1, 1))
    if how.scaled:
        x /= scale
    target = share[..., None] * member
    seen = target.sum(1) > 0
    found = np.zeros((*seen.shape, x.shape[2] + 1))
    found[..., -1] = ABSENT
    for present in np.unique(seen, axis=0):
        those = (seen == present).all(1)
        some = _centred(x[those], target[those][..., present], share[those], how)
        some[..., :-1] /= scale[those]
        some[..., -1] -= (some[..., :-1] * mean[those]).sum(2)
        found[np.ix_(those, present)] = some
    return found


def _centred(x: Array, target: Array, share: Array, how: Penalised) -> Array:
    """Minima for rows centred by their shares, all classes present."""
    if newton.unknowns(x.shape[1], x.shape[2], target.shape[2]) <= SMALL:
        return newton.minimum(x, target, share, how.l2, how.iterations)
    return np.stack(
        [lbfgs.minimum(*problem, how.l2, how.iterations) for problem in zip(x, target, share, strict=True)]
    )


def _deviation(x: Array, share: Array, mean: Array) -> Array:
    """Standard deviation of centred features [problems, 1, d]; 1 where it is nothing but rounding."""
    found = np.sqrt(share[:, None] @ np.square(x))
    return np.where(found > 1e-6 * np.abs(mean), found, 1.0)


class _Minimum(torch.autograd.Function):
    """Features [..., n, d], members [..., n, outputs], weights [..., n] -> layers [..., outputs, d + 1]."""

    @staticmethod
    def forward(features: Tensor, member: Tensor, weight: Tensor, how: Penalised) -> Tensor:
        """The layers, float64; leading axes are problems side by side."""
        given = [t.detach().double().cpu().numpy() for t in (features, member, weight)]
        flat = [t.reshape(-1, *t.shape[t.ndim - axes :]) for t, axes in zip(given, (2, 2, 1), strict=True)]
        found = torch.from_numpy(minima(flat[0], flat[1], flat[2], how)).to(features.device)
        return found.view(*features.shape[:-2], *found.shape[1:])

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:
        """A constant: nothing flows back."""
        ctx.mark_non_differentiable(output)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """Nothing."""
        return None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: Any, *given: Any) -> tuple[Tensor, int]:
        """All problems at once."""
        *tensors, how = given
        moved = [
            t.expand(info.batch_size, *t.shape) if at is None else t.movedim(at, 0)
            for t, at in zip(tensors, in_dims[:-1], strict=True)
        ]
        return cast(Tensor, _Minimum.apply(*moved, how)), 0
