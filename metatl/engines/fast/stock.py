"""Recurrent layers and attention without fused operations: torch's fused ones do not batch over tasks.

The fused attention has no batching rule and no second derivative; torch's own unfused one has both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from metatl.calls import Instead
from metatl.engines.fast.recurrent import RECURRENT


def unfused_attention() -> AbstractContextManager[Any]:
    """Inside it, torch's attention runs as products and a softmax, which can be differentiated twice."""
    return sdpa_kernel(SDPBackend.MATH)


def _unfused(fn: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        with unfused_attention():
            return fn(*args, **kwargs)

    return call


STOCK: dict[Callable[..., Any], Callable[..., Any]] = {
    **RECURRENT,
    F.scaled_dot_product_attention: _unfused(F.scaled_dot_product_attention),
    F.multi_head_attention_forward: _unfused(F.multi_head_attention_forward),
}


def batchable() -> Instead:
    """Inside it everything runs as torch has it, but for what torch cannot batch over tasks.

    Right where a pass is differentiated at most once under vmap, and there faster on a CPU than task-batched
    patches: evaluation, scouts, Reptile, first-order unrolling.
    """
    return Instead(STOCK)
