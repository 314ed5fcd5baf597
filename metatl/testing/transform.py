"""What every transform must keep to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from metatl.adapt import check_guide
from metatl.net import Net
from metatl.testing.claims import claim, close, copies, same
from metatl.transforms.transform import Transform
from metatl.types import Transfer


def check_transform(
    transform: Transform, net: Net, transfer: Transfer, x: Any, *, identity: bool = True
) -> None:
    """The laws of a map of nets and what they carry (LoRA, adapters, a fresh head).

    The same input gives the same bytes; the transfer that it is given stays as it is; the new one has a guide
    for every weight and runs on x; with `identity` its outputs are those of before, as for added weights at
    their start; merged after its weights have moved it is the same function.
    """
    before = copies(transfer)
    made_net, made = transform(net, transfer)
    same(copies(transfer), before, "the transform wrote into the transfer that it was given")
    again = transform(net, transfer)[1]
    same(copies(made), copies(again), "the same input gives other bytes the second time")
    check_guide(made)
    output = _output(made_net, made, x)
    claim(bool(output.isfinite().all()), "outputs are not finite")
    if identity:
        close(output, _output(net, transfer, x), "outputs are not those of before")
    steps = {name: torch.sin(torch.arange(p.numel()).to(p)).view_as(p) for name, p in made.params.items()}
    learned = {name: p + 0.1 * made.guide[name] * steps[name] for name, p in made.params.items()}
    there = replace(made, params=learned)
    merged = _output(*transform.merge(made_net, there), x)
    close(merged, _output(made_net, there, x), "merged, it is another function")


def _output(net: Net, transfer: Transfer, x: Any) -> Tensor:
    with torch.no_grad():
        return net(transfer.params, transfer.buffers, x)
