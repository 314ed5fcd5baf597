"""Rubin's Bayesian bootstrap: support rows under weights that are drawn."""

from __future__ import annotations

import numpy as np
import torch

from metatl import tree
from metatl.types import Batch


def bootstrapped(support: Batch, key: int, member: int) -> Batch:
    """The rows under n Dirichlet(1, ..., 1) weights [n] of this member, times those that they have."""
    x = tree.first(support.x)
    drawn = np.random.default_rng([key, member]).standard_exponential(len(x))  # torch's would not batch
    weight = torch.from_numpy(len(x) * drawn / drawn.sum()).to(x.device, torch.float32)
    return support._replace(weight=weight if support.weight is None else weight * support.weight)
