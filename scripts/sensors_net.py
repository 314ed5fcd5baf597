"""The nets of sensors.py: learned on a source's windows, with a target's beside them or without."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sensors_people import ACTIVITIES, Source, data_of
from torch import Tensor

from metatl.adapt import predict
from metatl.data.streams import Domain, Stream
from metatl.engines import Loop
from metatl.lab import store
from metatl.learners import Supervised
from metatl.models import Conv1d
from metatl.net import Net
from metatl.objectives import TaskLoss
from metatl.objectives.term import Term
from metatl.rules import Adam
from metatl.train import train
from metatl.types import Batch, Episode, Transfer


@dataclass(frozen=True)
class Trained:
    """A net that has learned."""

    net: Net
    transfer: Transfer

    def says(self, x: Tensor, around: Tensor | None, params: Any = None) -> Tensor:
        """Activities named for windows; moments of `around`, the running ones for None."""
        weights = self.transfer.params if params is None else params
        episode = Episode(Batch(x if around is None else around), Batch(x))
        moments = "frozen" if around is None else "support"
        with torch.no_grad():
            return predict(self.net, weights, self.transfer, episode, moments).argmax(-1)


def learned(source: Source, target: Tensor, terms: tuple[Term, ...], seed: int, steps: int) -> Trained:
    """Steps of 64 labelled windows of the source, and of as many of the target where a term reads them."""
    torch.manual_seed(seed)
    net = Net.of(Conv1d((6, 128), ACTIVITIES, 32))
    streams: dict[str, Stream] = {"target": Domain(size=64)} if len(terms) > 1 else {}
    own = Supervised(steps, 64, Adam(3e-3), terms, streams=streams)
    data = data_of(source, target)
    state = train(own, net, Loop(), own.init(net, net.start()), data, seed)
    return Trained(net, own.finish(net, state))


def base(source: Source, fold: int, seed: int, steps: int, runs: Path) -> Trained:
    """The net of a fold's source alone, learned once."""
    place = runs / f"source-{fold}-{seed}-{steps}.safetensors"
    if place.is_file():
        return Trained(Net.of(Conv1d((6, 128), ACTIVITIES, 32)), store.load_transfer(place))
    made = learned(source, source.x[:1], (TaskLoss(),), seed, steps)
    store.save_transfer(place, made.transfer, {})
    return made
