"""Small work on one thread: where threads cost more than they give."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import torch

SMALL = 1 << 17
"""Entries of the largest tensor up to which a second thread gains nothing; beside other work it costs."""
FITTED = 1 << 20
"""The same of all features that output layers are fitted to side by side, each of which is small work."""


@contextmanager
def few_threads(small: bool) -> Generator[None]:
    """Run on one thread if the work is small, else on as many as torch has."""
    threads = torch.get_num_threads()
    if not small or threads == 1:
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
