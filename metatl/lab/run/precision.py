"""The arithmetic of a run: full float32, TensorFloat-32 products on a GPU, or passes in bfloat16.

bfloat16 keeps 8 bits of a number. Nets with norms, ReLU and max-pooling lose the meta-gradient in it (cosine
with the float32 one 0.97 on a fresh Conv4 with strides, 0.76 with max-pooling, 0.998 on an MLP), so it stands
after a check on the first meta-batch.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from metatl import tree
from metatl.lab.experiment import Experiment
from metatl.learners import Episodic
from metatl.learners.learner import State
from metatl.net import Net
from metatl.types import Episode, MetatlError

ENOUGH = 0.99
"""Least cosine of a meta-gradient with passes in bfloat16 and the float32 one."""


@contextmanager
def products(experiment: Experiment) -> Generator[None]:
    """Float32 products and convolutions of a GPU in full, or in TF32 where `precision` says so."""
    backends: Any = torch.backends
    kinds: tuple[Any, ...] = (backends.cuda.matmul, backends.cudnn.conv)
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "tf32" if experiment.precision == "tf32" else "ieee"
        yield
    finally:
        for kind, value in zip(kinds, before, strict=True):
            kind.fp32_precision = value


def passes(experiment: Experiment, net: Net, state: State, drawn: Any) -> Net:
    """The net that the learner trains: as it is, or with passes in bfloat16 where they are good enough.

    Raises MetatlError where they are not, and for a learner without an outer gradient.
    """
    if experiment.precision != "bf16":
        return net
    if not isinstance(experiment.learner, Episodic) or not isinstance(drawn, Episode):
        raise MetatlError(
            "precision bf16 is for meta-gradients (learner Episodic), which it is checked on; use tf32"
        )
    low = replace(net, passes=torch.bfloat16)
    cosine = likeness(experiment, low, net, state, drawn)
    if not cosine > ENOUGH:
        raise MetatlError(
            f"precision bf16: the first meta-gradient has a cosine of {cosine:.3f} with the float32 one, "
            f"{ENOUGH} is asked; use float32 or tf32"
        )
    return low


def likeness(experiment: Experiment, low: Net, net: Net, state: State, drawn: Episode) -> float:
    """Cosine of a meta-batch's outer gradients on two nets of the same weights."""
    learner = experiment.learner
    assert isinstance(learner, Episodic)
    found: list[torch.Tensor] = []
    for one in (low, net):
        loss = learner.loss(one, state)
        found.append(tree.flat(experiment.engine.grad(loss, loss.variables, drawn)[0]).double())
    return float(torch.cosine_similarity(*found, dim=0))
