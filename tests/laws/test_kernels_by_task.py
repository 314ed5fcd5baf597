"""Compiled kernels of several tasks: each task's gradient is torch's own of that task alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn.grad import conv2d_input, conv2d_weight

from metatl.engines.fast import conv_native, native
from metatl.engines.fast.products import ProductSpec

PAIR = (1, 1)


@pytest.mark.skipif(native.library() is None, reason="no C++ compiler")
def test_each_task_has_the_gradient_that_it_has_alone() -> None:
    """g, x [tasks, n, c, h, w] and w [tasks, c, c, 3, 3], sizes larger than the count of tasks."""
    torch.manual_seed(0)
    g, x, w = (torch.randn(*shape) for shape in ((3, 4, 16, 7, 7), (3, 4, 16, 7, 7), (3, 16, 16, 3, 3)))
    own = ProductSpec(PAIR, PAIR, PAIR, wanted=(True, True))
    by_x, by_w = conv_native.backward(own, g, x, w)
    assert by_x is not None
    assert by_w is not None
    for task in range(3):
        alone = conv2d_weight(x[task], list(w[task].shape), g[task], padding=1)
        torch.testing.assert_close(by_w[task], alone, rtol=1e-4, atol=1e-3)
        alone = conv2d_input(list(x[task].shape), w[task], g[task], padding=1)
        torch.testing.assert_close(by_x[task], alone, rtol=1e-4, atol=1e-3)
