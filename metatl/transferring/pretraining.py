"""A net for columns, learned on a source with the same or overlapping columns."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import cast

from metatl.adapt import Descent
from metatl.adapt.stopping import EarlyStopping
from metatl.data.examples import Examples
from metatl.data.tables import Columns, Encoder
from metatl.heads import Learned
from metatl.lab.store.tensors import digest
from metatl.net import Net
from metatl.rules import Adam
from metatl.transferring.backbone import Backbone, backbone, no_net, rebuilt
from metatl.transferring.fit import descended
from metatl.transferring.judging import Scale
from metatl.types import Batch, MetatlError

HIDDEN, BATCH, EPOCHS, MOST = (256, 128), 64, 100, 3000
"""Widths of the hidden layers; rows of a step; passes over the source, and steps, at most."""
WAY = Descent(
    Adam(1e-3),
    head=Learned(),
    moments="frozen",
    batch_size=BATCH,
    shuffle=True,
    stopping=EarlyStopping(share=0.2, patience=100),
)
RATE, SEEN = 10.0, 20.0
"""By which rates, and the rows that are seen, are multiplied for so small a net (see `Backbone`)."""


def net_for(
    name: str | Path | None, size: int | None, source: Examples | None, problem: Examples, seed: int
) -> tuple[Backbone, list[str]]:
    """The net of this name; without one, of columns, one that is learned on the source, or none."""
    if name is not None:
        return backbone(name, size), []
    if size is not None:
        raise MetatlError(
            "size is of what a net reads, and there is none; leave it out, or name one with --net"
        )
    return (no_net(), []) if source is None else learned_on(source, problem, seed)


def learned_on(source: Examples, problem: Examples, seed: int) -> tuple[Backbone, list[str]]:
    """An MLP that predicts the source's targets from the columns that both have, and notes.

    Columns are encoded as the source's labelled rows define them; a fifth of those rows tells when to stop.
    Raises MetatlError where there is no column in common.
    """
    theirs, ours = cast(Columns, source.inputs.columns), cast(Columns, problem.inputs.columns)
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise MetatlError(
            f"source: {theirs.name} has no column of {ours.name}'s ({', '.join(list(ours)[:5])}); give a "
            "table with some of them"
        )
    rows = source.pool
    encoder = Encoder.fit(theirs.only(shared).take(rows))
    recipe = {
        "kind": "built_in",
        "name": "MLP",
        "shape": [encoder.width],
        "outputs": len(source.targets.names),
        "arguments": {"hidden": list(HIDDEN)},
    }
    module = rebuilt(recipe)
    net = Net.of(module, "head", encoder.example())
    y = source.targets.values[rows]
    support = Batch(encoder(theirs.take(rows)), Scale.of(y).down(y))
    steps = min(MOST, EPOCHS * -(-len(rows) // BATCH))
    params = descended(WAY, net, net.start(), support, steps, seed)
    module.load_state_dict(params, strict=False)
    sha = digest(module.state_dict())
    said = json.dumps([sha, encoder.values()[0], recipe], sort_keys=True, default=str)
    facts = {
        "net": f"an MLP learned on {source.name}",
        "weights": f"learned on {len(rows)} rows of {source.name}, at most {steps} steps, stopped by a fifth",
        "weights_sha256": sha,
        "preparation": {"columns": list(encoder.columns)},
        "input": encoder.told,
    }
    made = Backbone(
        module,
        "head",
        encoder,
        recipe,
        hashlib.sha256(said.encode()).hexdigest()[:24],
        facts,
        rate=RATE,
        seen=SEEN,
    )
    return made, _notes(theirs, ours, shared)


def _notes(theirs: Columns, ours: Columns, shared: list[str]) -> list[str]:
    lacking = [name for name in ours if name not in theirs]
    more = [name for name in theirs if name not in shared]
    found = [f"The net sees {len(shared)} columns, those that the source has too."]
    if lacking:
        found.append(f"Not in the source, and unseen by the net: {_some(lacking)}.")
    if more:
        found.append(f"In the source alone: {_some(more)}.")
    return found


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
