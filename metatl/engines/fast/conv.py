"""Convolution for many tasks at once, each with its own filters: patches times filters, batched over tasks.

z = conv(x, w) is bilinear; with g the gradient by z and vx, vw the cotangents of its gradients gx, gw:

    gx = conv^T(g, w)                      gw = patches(x)^T g
    by g: conv(vx, w) + conv(x, vw)        by x: conv^T(g, vw)        by w: patches(vx)^T g

Layout: x [task, n, C, H, W] and z [task, n, O, h, w], channels last in memory; w [task, O, C, kh, kw]; a task
axis of 1 is shared. vmap's own rule is a grouped convolution, whose second order can cost more than a loop.
"""

# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false
# torch declares the static methods of a Function with *args; here they name what they take.

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from metatl.engines.fast import conv_native as ops_conv_native
from metatl.engines.fast import products
from metatl.engines.fast.native import covers
from metatl.engines.fast.products import Pair, ProductSpec
from metatl.engines.fast.tasks import Maybe, keep_nothing, over_tasks, refuse


class Conv(torch.autograd.Function):
    """z = conv(x, w), task by task; apply(spec, x, w) -> (z,)."""

    @staticmethod
    def forward(spec: ProductSpec, x: Tensor, w: Tensor) -> tuple[Tensor]:
        """The convolution."""
        if covers(x, w, False):
            return (ops_conv_native.forward(spec, x, w),)
        return (products.conv(products.patches(x, w.shape, spec), w, x.shape, spec),)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, _: Any) -> None:
        """Keep the inputs."""
        ctx.spec, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Maybe, ...]:
        """(gx, gw), those that are wanted."""
        x, w = ctx.saved_tensors
        wanted = ctx.needs_input_grad[1:]
        spec = replace(ctx.spec, wanted=wanted, sum_w=w.shape[0] < g.shape[0])
        return (None, *spaced(ConvBack.apply(spec, g, x, w), wanted))

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: ProductSpec, *tensors: Tensor) -> Any:
        """All tasks at once."""
        return over_tasks(Conv, info.batch_size, in_dims, spec, tensors)


class ConvBack(torch.autograd.Function):
    """First derivatives; apply(spec, g, x, w) -> those of (gx, gw) that spec.wanted names."""

    @staticmethod
    def forward(spec: ProductSpec, g: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        """gx = conv^T(g, w), gw = patches(x)^T g."""
        if covers(x, w, spec.wanted[0]):
            return ops_conv_native.backward(spec, g, x, w)
        out: list[Tensor] = []
        if spec.wanted[0]:
            out.append(products.by_x(g, w, x.shape, spec))
        if spec.wanted[1]:
            out.append(products.by_w(g, products.patches(x, w.shape, spec), w.shape, spec))
        return tuple(out)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, _: Any) -> None:
        """Keep the inputs."""
        ctx.spec, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: Maybe) -> tuple[Maybe, ...]:
        """By g, x and w, those that are wanted."""
        g, x, w = ctx.saved_tensors
        vx, vw = spaced(cotangents, ctx.spec.wanted)
        needs = ctx.needs_input_grad[1:]
        possible = (vx is not None or vw is not None, vw is not None, vx is not None)
        wanted = tuple(a and b for a, b in zip(needs, possible, strict=True))
        spec = replace(ctx.spec, wanted=wanted, sum_w=w.shape[0] < g.shape[0])
        return (None, *spaced(ConvBackBack.apply(spec, g, x, w, vx, vw), wanted))

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: ProductSpec, *tensors: Tensor) -> Any:
        """All tasks at once."""
        return over_tasks(ConvBack, info.batch_size, in_dims, replace(spec, sum_w=False), tensors)


class ConvBackBack(torch.autograd.Function):
    """Second derivatives; apply(spec, g, x, w, vx, vw) -> those by (g, x, w) that spec.wanted names."""

    @staticmethod
    def forward(
        spec: ProductSpec, g: Tensor, x: Tensor, w: Tensor, vx: Maybe, vw: Maybe
    ) -> tuple[Tensor, ...]:
        """The formulas of the module's docstring."""
        if covers(x, w, spec.wanted[1] or vx is not None):
            return ops_conv_native.second(spec, g, x, w, vx, vw)
        out: list[Tensor] = []
        columns = None if vx is None else products.patches(vx, w.shape, spec)
        if spec.wanted[0]:
            terms = [] if columns is None else [products.conv(columns, w, x.shape, spec)]
            if vw is not None:
                terms.append(products.conv(products.patches(x, w.shape, spec), vw, x.shape, spec))
            out.append(terms[0] if len(terms) == 1 else terms[0] + terms[1])
        if spec.wanted[1] and vw is not None:
            out.append(products.by_x(g, vw, x.shape, spec))
        if spec.wanted[2] and columns is not None:
            out.append(products.by_w(g, columns, w.shape, spec))
        return tuple(out)

    setup_context = staticmethod(keep_nothing)
    backward = staticmethod(refuse)

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: ProductSpec, *tensors: Maybe) -> Any:
        """All tasks at once."""
        return over_tasks(ConvBackBack, info.batch_size, in_dims, replace(spec, sum_w=False), tensors)


def spaced(values: tuple[Maybe, ...], wanted: tuple[bool, ...]) -> tuple[Maybe, ...]:
    """Values at the places that `wanted` marks, None at the others."""
    rest = iter(values)
    return tuple(next(rest) if w else None for w in wanted)


def conv2d(x: Tensor, w: Tensor, bias: Maybe, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """z = conv(x, w) + bias for x [n, C, H, W], w [O, C, kh, kw], bias [O]; differentiable twice."""
    (z,) = Conv.apply(ProductSpec(stride, padding, dilation), x.unsqueeze(0), w.unsqueeze(0))
    z = z.squeeze(0)
    return z if bias is None else z + bias.view(-1, 1, 1)
