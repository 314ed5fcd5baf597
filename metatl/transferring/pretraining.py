"""A net that is learned on a source of the same kind of rows: columns, windows, recordings."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import torch

from metatl import tree
from metatl.data.cache import Arrays, cached
from metatl.data.examples import Examples
from metatl.lab.store.tensors import digest
from metatl.net import Net
from metatl.transferring.backbone import Backbone, backbone, no_net, rebuilt
from metatl.transferring.fit import descended, settled
from metatl.transferring.judging import Scale
from metatl.transferring.learnable import BATCH, Sketch, sketched
from metatl.transferring.prepared import prepared_rows
from metatl.transferring.self_supervised import ERRORS, filled_in
from metatl.types import Batch, MetatlError

LEAST = 300
"""Steps at least, where nothing tells when to stop: few rows are a step or two a pass."""
MOMENT_ROWS = 512
"""Rows of the source whose moments batch norms keep, at most."""
LEARNED = 2
"""How nets are learned; another number where that changes, so that kept ones are not taken for new ones."""


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
    """A net that predicts the source's targets, and notes; what a row is says which (`learnable`).

    Without targets it fills in masked values (`self_supervised`). Raises MetatlError where
    source and problem have nothing in common.
    """
    sketch, rows, known = sketched(source, problem), source.pool, source.targets.known
    recipe = {
        "kind": "built_in",
        "name": sketch.net,
        "shape": list(sketch.shape),
        "outputs": len(source.targets.names) if known else math.prod(sketch.shape),
        "arguments": dict(sketch.arguments),
    }
    rate, seen = sketch.scaled
    made = Backbone(rebuilt(recipe), "head", sketch.preparation, recipe, "", {}, rate=rate, seen=seen)
    least = LEAST if sketch.way.stopping is None else 0
    steps = min(sketch.most, max(least, sketch.epochs * -(-len(rows) // BATCH)))
    errors = _learn(made, sketch, source, steps, seed)
    sha = digest(made.module.state_dict())
    said = json.dumps([sha, sketch.preparation.values()[0], recipe], sort_keys=True, default=str)
    how = "stopped by a fifth" if sketch.way.stopping or not known else "all of them seen"
    unit = source.inputs.unit
    facts = {
        "net": f"{sketch.article} learned on {source.name}",
        "weights": f"learned on {len(rows)} {unit}s of {source.name}, at most {steps} steps, {how}",
        "weights_sha256": sha,
        "preparation": dict(sketch.seen),
        "input": sketch.preparation.told,
    }
    key = hashlib.sha256(said.encode()).hexdigest()[:24]
    if errors:
        facts["weights"] = f"{facts['weights']}; masked values filled in, no label read, {how_well(errors)}"
    notes = [f"The net was learned on rows without labels: {how_well(errors)}."] if errors else []
    return replace(made, key=key, facts=facts), [*notes, *sketch.notes]


def how_well(errors: Arrays) -> str:
    """How well masked values are filled in, in a few words."""
    masked, means = (float(errors[name]) for name in ERRORS)
    if not means:
        return "how well is not known, as the rows of the fifth that tells are alike"
    return f"squared error {masked:.3g} on the masked values of a fifth, {means:.3g} by the columns' means"


def _learn(made: Backbone, sketch: Sketch, source: Examples, steps: int, seed: int) -> Arrays:
    """The module's weights and moments after so many steps on the source's rows; errors without targets.

    They are kept in the user's cache under all that they depend on: whoever reads a source again, to adapt to
    one more person say, does not learn on it again.
    """
    rows = source.pool
    x, y = prepared_rows(source.inputs, made).some(rows), source.targets.values[rows]
    said = repr((LEARNED, torch.__version__, made.recipe, sketch.way, steps, seed, LEAST, MOMENT_ROWS))
    told = hashlib.sha256(said.encode())
    for leaf in tree.leaves((x, y)):
        told.update(repr((leaf.dtype, leaf.shape)).encode() + leaf.contiguous().numpy().tobytes())
    support = Batch(x, Scale.of(y).down(y)) if source.targets.known else Batch(x)
    weights = _weights if source.targets.known else filled_in
    held = cached(f"learned/{told.hexdigest()[:24]}", lambda: weights(made, sketch, support, steps, seed))
    errors = {name: held.pop(name) for name in ERRORS if name in held}
    made.module.load_state_dict({name: torch.from_numpy(leaf) for name, leaf in held.items()}, strict=False)
    return errors


def _weights(made: Backbone, sketch: Sketch, support: Batch, steps: int, seed: int) -> Arrays:
    """Weights and moments, by name."""
    net, x = Net.of(made.module, made.head, made.example()), support.x
    transfer = net.start()
    transfer = replace(transfer, params=descended(sketch.way, net, transfer, support, steps, seed))
    if sketch.way.moments != "frozen":
        some = torch.linspace(0, tree.rows(x) - 1, min(tree.rows(x), MOMENT_ROWS)).long()
        transfer = settled(net, transfer, tree.at(x, some))
    return {n: leaf.detach().numpy() for n, leaf in {**transfer.params, **transfer.buffers}.items()}
