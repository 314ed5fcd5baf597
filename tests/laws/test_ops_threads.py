"""Compiled kernels in several threads: the same bits whatever else the machine does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from metatl.engines.fast import conv_native as ops_conv_native
from metatl.engines.fast import native as ops_native
from metatl.engines.fast.products import ProductSpec


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.skipif(ops_native.library() is None, reason="no C++ compiler")
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_a_sum_over_tasks_repeats_itself(threads: int) -> None:
    """The gradient of weights that tasks share: which thread is first must not decide how it is rounded.

    Tasks of very different size make another order of summation another result.
    """
    torch.manual_seed(0)
    size = torch.logspace(0, 4, 5)[torch.tensor([3, 0, 4, 1, 2])].reshape(5, 1, 1, 1, 1)
    g, x = torch.randn(5, 6, 16, 7, 7) * size, torch.randn(5, 6, 16, 7, 7)
    w = torch.randn(1, 16, 16, 3, 3)
    pair = (1, 1)
    shared = ProductSpec(pair, pair, pair, wanted=(False, True), sum_w=True)
    torch.set_num_threads(threads)
    first = ops_conv_native.backward(shared, g, x, w)[-1]
    for _ in range(300):
        assert torch.equal(ops_conv_native.backward(shared, g, x, w)[-1], first)
    own = ProductSpec(pair, pair, pair, wanted=(False, True))
    each = ops_conv_native.backward(own, g, x, w.expand(5, -1, -1, -1, -1))[-1]
    exact = each.double().sum(0, keepdim=True)
    torch.testing.assert_close(first.double(), exact, rtol=0, atol=1e-5 * float(exact.abs().max()))
