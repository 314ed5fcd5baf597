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

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from metatl.engines.ops_tasks import Maybe, keep_nothing, over_tasks, refuse

Pair = tuple[int, int]


@dataclass(frozen=True)
class Spec:
    """How a convolution slides, which gradients are wanted, and whether that of w is summed over tasks."""

    stride: Pair
    padding: Pair
    dilation: Pair
    wanted: tuple[bool, ...] = ()
    sum_w: bool = False

    def out(self, size: torch.Size, kernel: torch.Size) -> Pair:
        """Height and width of the output for an input [..., H, W] and filters [..., kh, kw]."""
        h, w = (
            (size[a] + 2 * self.padding[a] - self.dilation[a] * (kernel[a] - 1) - 1) // self.stride[a] + 1
            for a in (-2, -1)
        )
        return h, w


def _rows(z: Tensor) -> Tensor:
    """[task, n, O, h, w] -> [task, n h w, O]."""
    return z.permute(0, 1, 3, 4, 2).reshape(z.shape[0], -1, z.shape[2])


def _taps(w: Tensor) -> Tensor:
    """[task, O, C, kh, kw] -> [task, kh kw C, O]."""
    return w.permute(0, 3, 4, 2, 1).reshape(w.shape[0], -1, w.shape[1])


def _patches(x: Tensor, kernel: torch.Size, spec: Spec) -> Tensor:
    """[task, n, C, H, W] -> [task, n h w, kh kw C]."""
    (kh, kw), (sh, sw), (dh, dw), (h, w) = kernel, spec.stride, spec.dilation, spec.out(x.shape, kernel)
    last = x.permute(0, 1, 3, 4, 2)
    ph, pw = spec.padding
    if ph or pw:
        last = torch.nn.functional.pad(last, (0, 0, pw, pw, ph, ph))
    last = last.contiguous()
    t, n, high, wide, c = last.shape
    row, column = wide * c, c
    view = last.as_strided(
        (t, n, h, w, kh, kw, c),
        (n * high * row, high * row, sh * row, sw * column, dh * row, dw * column, 1),
    )
    return view.reshape(t, n * h * w, kh * kw * c)


def _spread(columns: Tensor, x: torch.Size, kernel: torch.Size, spec: Spec) -> Tensor:
    """The transpose of `_patches`: every patch added back to where it came from; [task, n, C, H, W]."""
    (kh, kw), (sh, sw), (dh, dw), (h, w) = kernel, spec.stride, spec.dilation, spec.out(x, kernel)
    (ph, pw), (n, c, high, wide) = spec.padding, x[1:]
    columns = columns.view(columns.shape[0], n, h, w, kh, kw, c)
    total = columns.new_zeros(columns.shape[0], n, high + 2 * ph, wide + 2 * pw, c)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dh, j * dw
            at = (slice(top, top + sh * (h - 1) + 1, sh), slice(left, left + sw * (w - 1) + 1, sw))
            total[:, :, at[0], at[1]] += columns[:, :, :, :, i, j]
    return total[:, :, ph : ph + high, pw : pw + wide].permute(0, 1, 4, 2, 3)


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    """[task, i, k] @ [task, k, j], either shared; one large product where b is shared."""
    return a @ (b[0] if b.shape[0] == 1 else b)


def _forward(patches: Tensor, w: Tensor, n: int, size: Pair) -> Tensor:
    z = _matmul(patches, _taps(w))
    return z.view(z.shape[0], n, *size, w.shape[1]).permute(0, 1, 4, 2, 3)


def _by_x(g: Tensor, w: Tensor, x: torch.Size, spec: Spec) -> Tensor:
    return _spread(_matmul(_rows(g), _taps(w).mT), x, w.shape[-2:], spec)


def _by_w(g: Tensor, patches: Tensor, w: torch.Size, sum_tasks: bool) -> Tensor:
    g = _rows(g)
    if sum_tasks:
        tasks = max(g.shape[0], patches.shape[0])
        g, patches = (a.expand(tasks, -1, -1).reshape(1, -1, a.shape[-1]) for a in (g, patches))
    taps = patches.mT @ g
    return taps.view(-1, w[3], w[4], w[2], w[1]).permute(0, 4, 3, 1, 2)


class Conv(torch.autograd.Function):
    """z = conv(x, w), task by task; apply(spec, x, w) -> (z,)."""

    @staticmethod
    def forward(spec: Spec, x: Tensor, w: Tensor) -> tuple[Tensor]:
        """The convolution."""
        return (_forward(_patches(x, w.shape[-2:], spec), w, x.shape[1], spec.out(x.shape, w.shape[-2:])),)

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
        return (None, *_spaced(ConvBack.apply(spec, g, x, w), wanted))

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: Spec, *tensors: Tensor) -> Any:
        """All tasks at once."""
        return over_tasks(Conv, info.batch_size, in_dims, spec, tensors)


class ConvBack(torch.autograd.Function):
    """First derivatives; apply(spec, g, x, w) -> those of (gx, gw) that spec.wanted names."""

    @staticmethod
    def forward(spec: Spec, g: Tensor, x: Tensor, w: Tensor) -> tuple[Tensor, ...]:
        """gx = conv^T(g, w), gw = patches(x)^T g."""
        out: list[Tensor] = []
        if spec.wanted[0]:
            out.append(_by_x(g, w, x.shape, spec))
        if spec.wanted[1]:
            out.append(_by_w(g, _patches(x, w.shape[-2:], spec), w.shape, spec.sum_w))
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
        vx, vw = _spaced(cotangents, ctx.spec.wanted)
        needs = ctx.needs_input_grad[1:]
        possible = (vx is not None or vw is not None, vw is not None, vx is not None)
        wanted = tuple(a and b for a, b in zip(needs, possible, strict=True))
        spec = replace(ctx.spec, wanted=wanted, sum_w=w.shape[0] < g.shape[0])
        return (None, *_spaced(ConvBackBack.apply(spec, g, x, w, vx, vw), wanted))

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: Spec, *tensors: Tensor) -> Any:
        """All tasks at once."""
        return over_tasks(ConvBack, info.batch_size, in_dims, replace(spec, sum_w=False), tensors)


class ConvBackBack(torch.autograd.Function):
    """Second derivatives; apply(spec, g, x, w, vx, vw) -> those by (g, x, w) that spec.wanted names."""

    @staticmethod
    def forward(spec: Spec, g: Tensor, x: Tensor, w: Tensor, vx: Maybe, vw: Maybe) -> tuple[Tensor, ...]:
        """The formulas of the module's docstring."""
        kernel, (n, size) = w.shape[-2:], (x.shape[1], spec.out(x.shape, w.shape[-2:]))
        out: list[Tensor] = []
        patches = (
            _patches(vx, kernel, spec) if vx is not None and (spec.wanted[0] or spec.wanted[2]) else None
        )
        if spec.wanted[0]:
            terms = [] if patches is None else [_forward(patches, w, n, size)]
            if vw is not None:
                terms.append(_forward(_patches(x, kernel, spec), vw, n, size))
            out.append(terms[0] if len(terms) == 1 else terms[0] + terms[1])
        if spec.wanted[1] and vw is not None:
            out.append(_by_x(g, vw, x.shape, spec))
        if spec.wanted[2] and patches is not None:
            out.append(_by_w(g, patches, w.shape, spec.sum_w))
        return tuple(out)

    setup_context = staticmethod(keep_nothing)
    backward = staticmethod(refuse)

    @staticmethod
    def vmap(info: Any, in_dims: Any, spec: Spec, *tensors: Maybe) -> Any:
        """All tasks at once."""
        return over_tasks(ConvBackBack, info.batch_size, in_dims, replace(spec, sum_w=False), tensors)


def _spaced(values: tuple[Maybe, ...], wanted: tuple[bool, ...]) -> tuple[Maybe, ...]:
    """Values at the places that `wanted` marks, None at the others."""
    rest = iter(values)
    return tuple(next(rest) if w else None for w in wanted)


def conv2d(x: Tensor, w: Tensor, bias: Maybe, stride: Pair, padding: Pair, dilation: Pair) -> Tensor:
    """z = conv(x, w) + bias for x [n, C, H, W], w [O, C, kh, kw], bias [O]; differentiable twice."""
    (z,) = Conv.apply(Spec(stride, padding, dilation), x.unsqueeze(0), w.unsqueeze(0))
    z = z.squeeze(0)
    return z if bias is None else z + bias.view(-1, 1, 1)
