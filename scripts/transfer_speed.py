"""How fast `metatl transfer` is beside what its arithmetic needs, in one run on one machine.

    python scripts/transfer_speed.py <folder>/hymenoptera [--size 224] [--out results/transfer-speed]

T1: the rows that leave the body alone, 20 draws at five numbers of labels, beside one forward pass of all
    photos; then the same again with the features kept.
T2: fine-tuning all weights on 32 photos, beside a plain torch loop on the untouched module, which must end
    at the same weights.
T4: only the last block and the output layer move, for 20 epochs of 32 photos, beside the plain loop with
    requires_grad=False.

Writes report.json with seconds and ratios, the quickest of `--repeats` each.
"""

from __future__ import annotations

import copy
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import study
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl import tree
from metatl.adapt import Descent
from metatl.guides import ByName
from metatl.heads import Learned
from metatl.lab import store
from metatl.net import Net
from metatl.rules import Adam
from metatl.transferring.backbone import Backbone, backbone, forward
from metatl.transferring.budget import Budget
from metatl.transferring.cells import Cells
from metatl.transferring.fit import descended
from metatl.transferring.problem import read_problem
from metatl.transferring.rows import rows
from metatl.transferring.study import Study, run_heads
from metatl.types import Batch, MetatlError

HEADS = ("nearest-centroid", "ridge", "logistic-regression", "head-only")
DRAWS, LABELLED = 20, (1, 2, 5, 10, None)
LR, BATCH, STEPS, EPOCHS = 1e-4, 32, 3, 20


def main() -> None:
    made = study.parser(__doc__ or "", "results/transfer-speed")
    made.add_argument("photos", type=Path)
    made.add_argument("--size", type=study.count, default=224)
    made.add_argument("--repeats", type=study.count, default=1)
    given = made.parse_args()
    net = backbone("efficientnet_lite0", given.size)
    photos = read_problem(given.photos, net, 0).pictures.some
    found: dict[str, Any] = {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "size": given.size,
    }
    found |= heads(given.photos, net, given.repeats)
    x, y = photos(range(BATCH)), torch.arange(BATCH) % 2  # type: ignore[arg-type]
    found["T2"] = beside(net, x, y, "", STEPS, given.repeats)
    last = r"^(blocks\.6|conv_head|bn2|classifier)"
    found["T4"] = beside(net, x, y, last, EPOCHS, given.repeats)
    store.write_json(Path(given.out) / "report.json", found)
    for name in ("T1", "T1 again", "T2", "T4"):
        print(name, found[name])


def seconds(call: Callable[[], object], repeats: int) -> float:
    times: list[float] = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return min(times)


def heads(photos: Path, net: Backbone, repeats: int) -> dict[str, Any]:
    """T1: everything from reading photos to the last cell, against the forward pass of prepared ones."""
    first, again = list[float](), list[float]()
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["XDG_CACHE_HOME"] = folder
            for times in (first, again):
                times.append(seconds(lambda: _table(photos, net), 1))
            problem = read_problem(photos, net, 0)
            x = problem.pictures.some(range(len(problem.files)))  # type: ignore[arg-type]
    plain = seconds(lambda: forward(net.body(), x), repeats)
    told = {"photos": len(x), "cells": len(HEADS) * (DRAWS * 4 + 1), "forward_s": round(plain, 2)}
    return {
        "T1": {**told, "seconds": round(min(first), 2), "ratio": round(min(first) / plain, 3)},
        "T1 again": {**told, "seconds": round(min(again), 2), "ratio": round(min(again) / plain, 3)},
    }


def _table(photos: Path, net: Backbone) -> None:
    problem = read_problem(photos, net, 0)
    with tempfile.TemporaryDirectory() as folder:
        cells = Cells.resumed(Path(folder), {})
        run_heads(Study(problem, net, rows(list(HEADS)), LABELLED, DRAWS), cells, Budget(1e9))


def beside(net: Backbone, x: Tensor, y: Tensor, moving: str, steps: int, repeats: int) -> dict[str, float]:
    """Our descent against the plain loop; both must end at the same weights."""
    made = Net.of(net.module, net.head, net.example())
    transfer = made.start()
    if moving:
        transfer = type(transfer)(
            transfer.params, ByName([(moving, 1.0), ("", 0.0)])(made, transfer), transfer.buffers
        )
    descent = Descent(Adam(LR), steps, Learned(), batch_size=BATCH, moments="frozen")
    kept: dict[str, dict[str, Tensor]] = {}

    def descend() -> None:
        kept["ours"] = descended(descent, made, transfer, Batch(x, y))

    def plain() -> None:
        tuned = _plain(net.module, x, y, transfer.guide, steps)
        kept["plain"] = {name: p.detach() for name, p in tuned.named_parameters()}

    ours, theirs = seconds(descend, repeats), seconds(plain, repeats)
    found, wanted = kept["ours"], kept["plain"]
    gap = float(tree.norm(tree.sub(found, wanted)) / tree.norm(tree.sub(wanted, transfer.params)))
    if not gap < 0.01:
        raise MetatlError(f"the plain loop ends elsewhere, by {gap:.3f} of its way: nothing is compared")
    return {"seconds": round(ours, 2), "plain_s": round(theirs, 2), "ratio": round(ours / theirs, 3)}


def _plain(module: nn.Module, x: Tensor, y: Tensor, guide: dict[str, Tensor], steps: int) -> nn.Module:
    tuned = copy.deepcopy(module).eval()
    for name, p in tuned.named_parameters():
        p.requires_grad_(bool((guide[name] != 0).any()))
    rule = torch.optim.Adam([p for p in tuned.parameters() if p.requires_grad], LR)
    for _ in range(steps):
        rule.zero_grad()
        F.cross_entropy(tuned(x), y).backward()
        rule.step()
    return tuned


if __name__ == "__main__":
    study.command(main)
