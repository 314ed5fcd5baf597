"""DANN on the reviews of a pair, and the same net without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.domain_data import DomainData
from metatl.data.streams import Domain, Stream
from metatl.engines import Loop
from metatl.lab import store
from metatl.learners import Supervised
from metatl.models import MLP
from metatl.net import Net
from metatl.objectives import DANN, TaskLoss
from metatl.objectives.term import Term
from metatl.rules import Adam
from metatl.train import train

STEPS, HIDDEN = 1000, 100
TERMS: dict[str, tuple[Term, ...]] = {"net": (TaskLoss(),), "dann": (TaskLoss(), DANN(hidden=HIDDEN))}
NAMES = ("negative", "positive")


def net_rows(folder: Path, source: str, seeds: int) -> list[dict[str, Any]]:
    """Rows as `metatl transfer` reports them, without labels of the target; kept beside its tables."""
    place = folder / "net.json"
    if not place.is_file():
        store.write_json(place, {name: _accuracies(folder, source, name, seeds) for name in TERMS})
    found = store.read_json(place)
    return [
        {"method": name, "labelled": 0, "draws": len(found[name]), "score": float(np.mean(found[name]))}
        for name in TERMS
    ]


def _accuracies(folder: Path, source: str, name: str, seeds: int) -> list[float]:
    """Percent of the target's test reviews, seed by seed."""
    (x, y), (free, _), (new, wanted) = (
        _read(folder / file) for file in (f"{source}.npz", "target/train.npz", "target/test.npz")
    )
    mean, deviation = x.mean(0), x.std(0).clamp_min(1e-6)
    x, free, new = ((one - mean) / deviation for one in (x, free, new))
    order = y.argsort(stable=True)
    bank = Bank.sorted_by_class(x[order], torch.bincount(y).tolist(), NAMES)
    rows = {key: Bank.sorted_by_class(of, [len(of)], ["rows"]) for key, of in (("s", x), ("t", free))}
    labelled = ClassData("reviews", dict.fromkeys(("meta_train", "meta_val", "meta_test"), bank))
    data, found = DomainData(labelled, rows, ("s",), "t"), list[float]()
    for seed in range(seeds):
        torch.manual_seed(seed)
        net = Net.of(MLP((x.shape[1],), 2, (HIDDEN,)))
        streams: dict[str, Stream] = {"target": Domain(size=64)} if len(TERMS[name]) > 1 else {}
        own = Supervised(STEPS, 64, Adam(1e-3), TERMS[name], streams=streams)
        made = own.finish(net, train(own, net, Loop(), own.init(net, net.start()), data, seed))
        with torch.no_grad():
            said = net(made.params, made.buffers, new).argmax(-1)
        found.append(100 * float((said == wanted).double().mean()))
    return found


def _read(file: Path) -> tuple[Tensor, Tensor]:
    with np.load(file) as held:
        y = torch.from_numpy((held["y"] == NAMES[1]).astype(np.int64))
        return torch.from_numpy(held["x"]).float(), y
