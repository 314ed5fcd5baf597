"""Normalisation for many tasks at once: xhat = (x - mean) r, r = 1 / sqrt(var + eps), without an affine part.

With m the mean over the normalised axes, g the gradient by xhat and v the cotangent of gx:

    gx = r (g - m(g) - xhat m(g xhat))  -  gr r^2 xhat / count
    by g: r (v - m(v) - xhat m(v xhat))     by xhat: -r (v m(g xhat) + g m(v xhat))
    by r: sum of v (g - m(g) - xhat m(g xhat))

xhat and r are both outputs, so that what the second derivative sends to them joins what the loss sends to
xhat and passes through gx once.
"""

# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false
# torch declares the static methods of a Function with *args; here they name what they take.

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metatl.engines.fast.tasks import Maybe, keep_nothing, over_tasks, refuse


@dataclass(frozen=True)
class NormSpec:
    """Axes of [task, ...] whose entries share their moments; eps as in batch norm."""

    axes: tuple[int, ...]
    eps: float

    def mean(self, x: Tensor) -> Tensor:
        """m(x), axes kept as 1."""
        return x.mean(self.axes, keepdim=True)


class Norm(torch.autograd.Function):
    """apply(spec, x) -> (xhat, r)."""

    @staticmethod
    def forward(spec: NormSpec, x: Tensor) -> tuple[Tensor, Tensor]:
        """xhat and r."""
        x = x - spec.mean(x)
        r = (spec.mean(x.square()) + spec.eps).rsqrt()
        return x * r, r

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the outputs."""
        ctx.spec = inputs[0]
        ctx.save_for_backward(*output)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, g: Maybe, gr: Maybe) -> tuple[None, Maybe]:
        """gx."""
        xhat, r = ctx.saved_tensors
        gx = None if g is None else NormBack.apply(ctx.spec, g, xhat, r)[0]
        if gr is not None:
            through_r = xhat * (gr * r.square() * (-r.numel() / xhat.numel()))
            gx = through_r if gx is None else gx + through_r
        return None, gx

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: NormSpec, *tensors: Tensor) -> Any:
        """All tasks at once."""
        return over_tasks(Norm, info.batch_size, in_dims, spec, tensors)


class NormBack(torch.autograd.Function):
    """apply(spec, g, xhat, r) -> (gx,)."""

    @staticmethod
    def forward(spec: NormSpec, g: Tensor, xhat: Tensor, r: Tensor) -> tuple[Tensor]:
        """r (g - m(g) - xhat m(g xhat))."""
        return (r * (g - spec.mean(g) - xhat * spec.mean(g * xhat)),)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, _: Any) -> None:
        """Keep the inputs."""
        ctx.spec, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, v: Tensor) -> tuple[Maybe, ...]:
        """By g, xhat and r."""
        return (None, *NormBackBack.apply(ctx.spec, v, *ctx.saved_tensors))

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: NormSpec, *tensors: Tensor) -> Any:
        """All tasks at once."""
        return over_tasks(NormBack, info.batch_size, in_dims, spec, tensors)


class NormBackBack(torch.autograd.Function):
    """apply(spec, v, g, xhat, r) -> derivatives of <v, gx> by g, xhat and r."""

    @staticmethod
    def forward(spec: NormSpec, v: Tensor, g: Tensor, xhat: Tensor, r: Tensor) -> tuple[Tensor, ...]:
        """The formulas of the module's docstring."""
        b, c = spec.mean(g * xhat), spec.mean(v * xhat)
        rest = g - spec.mean(g) - xhat * b
        return (
            r * (v - spec.mean(v) - xhat * c),
            -r * (v * b + g * c),
            (v * rest).sum(spec.axes, keepdim=True),
        )

    setup_context = staticmethod(keep_nothing)
    backward = staticmethod(refuse)

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: NormSpec, *tensors: Tensor) -> Any:
        """All tasks at once."""
        return over_tasks(NormBackBack, info.batch_size, in_dims, spec, tensors)


def normalise(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """(x - mean) / sqrt(var + eps) of x [...] over axes (from 0); biased variance; differentiable twice."""
    return Norm.apply(NormSpec(tuple(a + 1 for a in axes), eps), x.unsqueeze(0))[0].squeeze(0)
