"""A net that is learned on rows without labels: masked values filled in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from metatl import tree
from metatl.data import ClassData, Masked
from metatl.data.bank import Bank
from metatl.data.cache import Arrays
from metatl.engines import Loop
from metatl.learners import State, Supervised
from metatl.net import Net
from metatl.objectives import Reconstruction
from metatl.objectives.term import Anchor, Seen
from metatl.rules import Adam
from metatl.train import check_finite, train
from metatl.transferring.backbone import Backbone
from metatl.transferring.learnable import BATCH, Sketch
from metatl.types import Batch, MetatlError, Metrics, Transfer

FEWEST = 10
"""Rows without labels from which a net is learned."""
SHARE, EVERY, LOOKED = 5, 50, 64
"""One in so many rows is held out and tells which weights are best; steps between two looks at them; rows
of a look, where fewer are held out each of them masked anew."""
ERRORS = ("masked_error", "mean_error")
"""On the rows held out: of the masked values, and by the columns' means over the other rows."""


def filled_in(made: Backbone, sketch: Sketch, rows: Batch, steps: int, seed: int) -> Arrays:
    """Weights and moments by name, and ERRORS, after so many steps of filling masked values in.

    The loss is the squared error on the masked values (`Masked`: 0.3 of them, each replaced by that of
    another row), by Adam with a rate that falls to 0; the best weights by a held-out fifth stay (the last
    ones where its rows are all alike: ERRORS are 0 then). y is not read. Raises MetatlError for fewer than
    10 rows.
    """
    count = tree.rows(rows.x)
    if count < FEWEST:
        raise MetatlError(
            f"source: {count} rows without labels; give {FEWEST} or more, or a column of labels"
        )
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    held, used = (_data(tree.at(rows.x, at)) for at in (order[: count // SHARE], order[count // SHARE :]))
    term, rate = Reconstruction(), getattr(sketch.way.rule, "lr", 1e-3)
    learner = Supervised(steps, BATCH, Adam(rate), (term,), streams={"source": Masked(size=BATCH)})
    net = Net.of(made.module, made.head, made.example())
    learner.check(net, net.start(), used)
    means = tree.at(rows.x, order[count // SHARE :]).mean(0)
    stream = Masked(size=max(2, count // SHARE))
    looked = [stream.draw(held, seed, i) for i in range(-(-LOOKED // stream.size))]
    look = _Best(net, term, tree.gather(looked, torch.cat), means, steps)
    with torch.random.fork_rng(devices=[]):
        train(learner, net, Loop(), learner.init(net, net.start()), used, seed, [look])
    found = {**look.transfer.params, **look.transfer.buffers, **look.errors}
    return {name: leaf.detach().numpy() for name, leaf in found.items()}


def _data(x: Any) -> ClassData:
    return ClassData("rows without labels", {"meta_train": Bank.sorted_by_class(x, [len(x)], ("row",))})


class _Best:
    """The transfer of the step with the least error on rows held out; means: of those that are learned from.

    The term's own `mean_error` would be by the means of the few rows held out, which know their values.
    """

    def __init__(self, net: Net, term: Reconstruction, held: Batch, means: torch.Tensor, steps: int) -> None:
        self.net, self.term, self.held, self.steps = net, term, held, steps
        masked = held.y["masked"]
        self.mean_error = (held.y["values"] - means).square()[masked].sum() / masked.sum().clamp_min(1)
        self.transfer: Transfer = net.start()
        self.errors: dict[str, torch.Tensor] = {}

    def __call__(self, state: State, metrics: Metrics) -> None:
        """Look now and then, and at the end; MetatlError where the learning has diverged."""
        if state.step % EVERY and state.step < self.steps:
            return
        check_finite(state, metrics)
        carried = state.transfer
        with torch.no_grad():
            passed = self.net.passed(carried.params, carried.buffers, self.held.x)
        seen = Seen({"source": passed}, {"source": self.held}, Anchor({}, None), {}, 1.0)
        told = {**self.term.told(seen), "mean_error": self.mean_error}
        errors = {name: told[name] for name in ERRORS}
        better = not self.errors or errors["masked_error"] < self.errors["masked_error"]
        if better or not self.held.y["masked"].any():  # the last ones where nothing tells
            self.transfer, self.errors = replace(carried), errors
