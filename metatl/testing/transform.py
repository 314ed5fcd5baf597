"""What every transform must keep to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from metatl.engines.engine import check_guide
from metatl.net import Net
from metatl.testing.claims import claim, close, copies, same
from metatl.types import Transfer

Transform = Callable[[Net, Transfer], tuple[Net, Transfer]]
"""A net and what is carried -> another net and what is carried in it."""


def check_transform(
    transform: Transform, net: Net, transfer: Transfer, x: Any, *, identity: bool = True
) -> None:
    """The laws of a map of nets and what they carry (LoRA, adapters, a fresh head).

    The same input gives the same bytes; the transfer that it is given stays as it is; the new one has a guide
    for every weight and runs on x; with `identity` its outputs are those of before, as for added weights at
    their start.
    """
    before = copies(transfer)
    (made_net, made), (_, again) = transform(net, transfer), transform(net, transfer)
    same(copies(made), copies(again), "the same input gives other bytes the second time")
    check_guide(made)
    with torch.no_grad():
        output = made_net(made.params, made.buffers, x)
        old = net(transfer.params, transfer.buffers, x)
    claim(bool(output.isfinite().all()), "outputs are not finite")
    if identity:
        close(output, old, "outputs are not those of before")
    same(copies(transfer), before, "the transform wrote into the transfer that it was given")
