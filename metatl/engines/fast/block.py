"""Convolution, batch norm, affine part, leaky ReLU and 2x2 max-pooling as one function of many tasks.

    z = conv(x, w)     xhat = (z - mean) r, moments from the rows S of the first images
    y = pool(act(gamma xhat + beta))

With m the derivative of pool and act, h = m gy gamma + gxhat, s = sum h, t = sum h xhat, N rows in S (1_S):

    gz = r h - 1_S (r s / N + xhat (r t / N + gr r^2 / N))      ggamma = sum m gy xhat      gbeta = sum m gy

and with vz = conv(vx, w) + conv(x, vw) the cotangent of gz, a = mean_S vz, c = mean_S vz xhat:

    by h: e = r (vz - a - c xhat)      by gy: m (gamma e + vgamma xhat + vbeta)      by gamma: sum m gy e
    by xhat: m gy vgamma - r (c h + 1_S vz t / N)      by r: sum vz h - a s - c t
    by x: conv^T(gz, vw)      by w: patches(vx)^T gz

y, xhat and r are outputs of the forward pass, so what the second derivative sends to xhat and r joins what
the loss sends to y and passes through the convolution once: 9 products a support step, the least there is.
"""

# pyright: reportIncompatibleMethodOverride=false, reportAssignmentType=false
# torch declares the static methods of a Function with *args; here they name what they take.

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from metatl.engines.fast import block_native as ops_block_native
from metatl.engines.fast import block_torch as ops_block_torch
from metatl.engines.fast.block_torch import Block
from metatl.engines.fast.conv import spaced
from metatl.engines.fast.native import covers
from metatl.engines.fast.tasks import Maybe, keep_nothing, over_tasks, refuse


class Forward(torch.autograd.Function):
    """apply(block, x, w, gamma, beta) -> (y, xhat, r)."""

    @staticmethod
    def forward(block: Block, x: Tensor, w: Tensor, gamma: Tensor, beta: Tensor) -> tuple[Tensor, ...]:
        """The block."""
        passes = ops_block_native if covers(x, w, False) else ops_block_torch
        return passes.forward(block, x, w, gamma, beta)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the inputs, xhat and r."""
        ctx.block, *tensors = inputs
        ctx.save_for_backward(*tensors, *output[1:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, gy: Maybe, gxhat: Maybe, gr: Maybe) -> tuple[Maybe, ...]:
        """(gx, gw, ggamma, gbeta), those of x and w where they are wanted."""
        x, w, gamma, beta, xhat, r = ctx.saved_tensors
        if gy is None:
            gy = xhat.new_zeros(ctx.block.size(xhat.shape))
        wanted = ctx.needs_input_grad[1:3]
        block = replace(ctx.block, wanted=wanted, sum_w=w.shape[0] < xhat.shape[0])
        *by_xw, ggamma, gbeta = Backward.apply(block, gy, gxhat, gr, x, w, gamma, beta, xhat, r)
        return (None, *spaced(tuple(by_xw), wanted), ggamma, gbeta)

    @staticmethod
    def vmap(info: Any, in_dims: Any, block: Block, *tensors: Tensor) -> Any:
        """All tasks at once."""
        return over_tasks(Forward, info.batch_size, in_dims, block, tensors)


class Backward(torch.autograd.Function):
    """apply(block, gy, gxhat, gr, x, w, gamma, beta, xhat, r) -> (gx, gw as wanted, ggamma, gbeta)."""

    @staticmethod
    def forward(
        block: Block, gy: Tensor, gxhat: Maybe, gr: Maybe, x: Tensor, w: Tensor, *rest: Tensor
    ) -> tuple[Tensor, ...]:
        """First derivatives."""
        passes = ops_block_native if covers(x, w, block.wanted[0]) else ops_block_torch
        return passes.backward(block, gy, gxhat, gr, x, w, *rest)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Keep the inputs, ggamma and gbeta."""
        ctx.block, *tensors = inputs
        ctx.save_for_backward(*tensors, *output[-2:])
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: Maybe) -> tuple[Maybe, ...]:
        """By gy, x, w, gamma, xhat and r."""
        gy, gxhat, gr, x, w, gamma, beta, xhat, r, ggamma, gbeta = ctx.saved_tensors
        if gxhat is not None or gr is not None:
            refuse()
        vx, vw = spaced(cotangents[:-2], ctx.block.wanted)
        needs = ctx.needs_input_grad
        wanted = (needs[4] and vw is not None, needs[5] and vx is not None)
        block = replace(ctx.block, wanted=wanted, sum_w=w.shape[0] < xhat.shape[0])
        given = (gy, x, w, gamma, beta, xhat, r, ggamma, gbeta, vx, vw, *cotangents[-2:])
        cgy, *by_xw, cgamma, cxhat, cr = Second.apply(block, *given)
        return (None, cgy, None, None, *spaced(tuple(by_xw), wanted), cgamma, None, cxhat, cr)

    @staticmethod
    def vmap(info: Any, in_dims: Any, block: Block, *tensors: Maybe) -> Any:
        """All tasks at once."""
        return over_tasks(Backward, info.batch_size, in_dims, replace(block, sum_w=False), tensors)


class Second(torch.autograd.Function):
    """apply(block, gy, x, w, gamma, beta, xhat, r, ggamma, gbeta, vx, vw, vgamma, vbeta) -> cotangents.

    Those of gy, x and w (as block.wanted says), gamma, xhat, r.
    """

    @staticmethod
    def forward(block: Block, gy: Tensor, x: Tensor, w: Tensor, *rest: Any) -> tuple[Tensor, ...]:
        """Second derivatives."""
        by_x = block.wanted[0] or rest[6] is not None
        passes = ops_block_native if covers(x, w, by_x) else ops_block_torch
        return passes.second(block, gy, x, w, *rest)

    setup_context = staticmethod(keep_nothing)
    backward = staticmethod(refuse)

    @staticmethod
    def vmap(info: Any, in_dims: Any, block: Block, *tensors: Maybe) -> Any:
        """All tasks at once."""
        return over_tasks(Second, info.batch_size, in_dims, replace(block, sum_w=False), tensors)


def conv_norm_act(x: Tensor, w: Tensor, gamma: Tensor, beta: Tensor, block: Block) -> Tensor:
    """pool(act(gamma norm(conv(x, w)) + beta)) for x [n, C, H, W], w [O, C, kh, kw], gamma, beta [O]."""
    tensors = (t.unsqueeze(0) for t in (x, w, gamma, beta))
    return Forward.apply(block, *tensors)[0].squeeze(0)
