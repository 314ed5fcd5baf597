"""What `metatl transfer` costs beside the passes of the net that it needs."""

from __future__ import annotations

import copy
import functools
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl import tree
from metatl.adapt import Descent
from metatl.data.photos import photo_examples
from metatl.guides import ByName
from metatl.heads import Learned
from metatl.lab import record
from metatl.net import Net
from metatl.profile.photos import photos_of_noise, users_cache
from metatl.profile.timing import interleaved, turns
from metatl.rules import Adam
from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.budget import Budget
from metatl.transferring.cells import Cells
from metatl.transferring.features import forward
from metatl.transferring.fit import descended
from metatl.transferring.problem import read_problem
from metatl.transferring.rows import rows
from metatl.transferring.running import run_heads
from metatl.transferring.study import Study
from metatl.types import Batch, MetatlError, Transfer

Measure = dict[str, Any]
NET, SIZE = "efficientnet_lite0", 224
PHOTOS, HEADS = (244, 153), ("nearest-centroid", "ridge", "logistic-regression", "head-only")
DRAWS, LABELLED = 20, (1, 2, 5, 10, None)
LR, BATCH, STEPS, EPOCHS = 1e-4, 32, 3, 20
LAST = r"^(blocks\.6|conv_head|bn2|classifier)"
MOST = 2
"""Rounds at most: each takes minutes."""


def frozen(
    names: Sequence[str], device: str, repeats: int, size: int = SIZE, photos: Sequence[int] = PHOTOS
) -> list[Measure]:
    """T1: four rows on frozen features, 20 draws at five numbers of labels, of 397 photos of 500 x 375.

    From reading the files to the last cell, beside one forward pass of the prepared photos; then a second
    time: `resumed` into the same folder, and `again` into another, with all fits anew on the features kept.
    """
    net = backbone(NET, size)
    with tempfile.TemporaryDirectory() as place:
        folder = photos_of_noise(Path(place) / "photos", photos)
        with users_cache(Path(place) / "kept"):
            problem = read_problem(photo_examples(folder), net, 0)
        everything = np.arange(sum(photos))
        x = problem.prepared.some(everything).contiguous()  # as whoever writes the pass himself has it
        if not torch.allclose(forward(net.body(), x), problem.features.of(everything, everything), atol=1e-4):
            raise MetatlError("T1: the features that are kept are not those of a forward pass")

        def first() -> object:
            with tempfile.TemporaryDirectory() as empty, users_cache(Path(empty)):
                return _table(folder, net)

        def again(out: Path | None = None) -> object:
            with users_cache(Path(place) / "kept"):
                return _table(folder, net, out)

        again(Path(place) / "done")

        calls: dict[str, Callable[[], object]] = {
            "forward": lambda: forward(net.body(), x),
            "first": first,
            "again": again,
            "resumed": functools.partial(again, Path(place) / "done"),
        }
        seconds = _timed("T1", calls, repeats, device)
    return [
        {
            "name": "T1",
            "photos": sum(photos),
            "pixels": size,
            "cells": len(HEADS) * (DRAWS * (len(LABELLED) - 1) + 1),
            **{f"{name}_seconds": round(value, 2) for name, value in seconds.items()},
            "ratio": round(seconds["first"] / seconds["forward"], 3),
            "again_ratio": round(seconds["again"] / seconds["forward"], 3),
            "resumed_ratio": round(seconds["resumed"] / seconds["forward"], 3),
        }
    ]


def tuned(names: Sequence[str], device: str, repeats: int, size: int = SIZE) -> list[Measure]:
    """T2: all weights move for 3 steps on 32 photos, beside a plain torch loop on the untouched module."""
    return [_beside("T2", size, "", STEPS, repeats, device)]


def last_block(names: Sequence[str], device: str, repeats: int, size: int = SIZE) -> list[Measure]:
    """T4: only the last block and the output layer move, 20 epochs on 32 photos."""
    return [_beside("T4", size, LAST, EPOCHS, repeats, device)]


MEASURES: Mapping[str, Callable[[Sequence[str], str, int], list[Measure]]] = {
    "T1": frozen,
    "T2": tuned,
    "T4": last_block,
}


def _table(photos: Path, net: Backbone, out: Path | None = None) -> Cells:
    """All cells, as far as they are not in the folder `out`; None for an empty one."""
    problem = read_problem(photo_examples(photos), net, 0)
    with tempfile.TemporaryDirectory() as empty:
        cells = Cells.resumed(out or Path(empty), {})
        run_heads(Study(problem, net, rows(list(HEADS)), LABELLED, DRAWS), cells, Budget(1e9))
        return cells


def _beside(name: str, size: int, moving: str, steps: int, repeats: int, device: str) -> Measure:
    """Our descent and the plain loop, which must end at the same weights."""
    torch.manual_seed(0)
    given = backbone(NET, size)
    net = Net.of(given.module, given.head, given.example())
    transfer = net.start()
    if moving:
        guide = ByName(((moving, 1.0), ("", 0.0)))(net, transfer)
        transfer = Transfer(transfer.params, guide, transfer.buffers)
    x, y = torch.randn(BATCH, *given.example().shape[1:]), torch.arange(BATCH) % 2
    descent = Descent(Adam(LR), steps, Learned(), batch_size=BATCH, moments="frozen")
    laid = given.preparation.stacked(list(x))
    calls: dict[str, Callable[[], dict[str, Tensor]]] = {
        "ours": functools.partial(descended, descent, net, transfer, Batch(laid, y)),
        "plain": functools.partial(_plain, given.module, x, y, transfer.guide, steps),
    }
    found, wanted = (call() for call in calls.values())
    gap = float(tree.norm(tree.sub(found, wanted)) / tree.norm(tree.sub(wanted, transfer.params)))
    if not gap < 0.01:
        raise MetatlError(f"{name}: the plain loop ends elsewhere, by {gap:.3f} of its way; nothing is timed")
    seconds = _timed(name, calls, repeats, device)
    return {
        "name": name,
        "photos": BATCH,
        "pixels": size,
        "steps": steps,
        "seconds": round(seconds["ours"], 2),
        "plain_seconds": round(seconds["plain"], 2),
        "ratio": round(seconds["ours"] / seconds["plain"], 3),
    }


def _plain(
    module: nn.Module, x: Tensor, y: Tensor, guide: Mapping[str, Tensor], steps: int
) -> dict[str, Tensor]:
    """The weights after plain torch steps of Adam on those whose guide is not 0."""
    own = copy.deepcopy(module).eval()
    for name, p in own.named_parameters():
        p.requires_grad_(bool((guide[name] != 0).any()))
    rule = torch.optim.Adam([p for p in own.parameters() if p.requires_grad], LR)
    for _ in range(steps):
        rule.zero_grad()
        F.cross_entropy(own(x), y).backward()
        rule.step()
    return {name: p.detach() for name, p in own.named_parameters()}


def _timed(
    name: str, calls: Mapping[str, Callable[[], object]], repeats: int, device: str
) -> dict[str, float]:
    repeats = min(repeats, MOST)
    with record.bar(f"timing {name}", turns(len(calls), repeats), "turn") as progress:
        return interleaved(calls, repeats, 0.0, device, progress)
