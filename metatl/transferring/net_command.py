"""What the command `net` does: a net by its name or from a config, layer by layer."""

from __future__ import annotations

import argparse
import json
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metatl import importing, tree
from metatl.lab import config, grids
from metatl.lab.experiment import ModelMaker
from metatl.lab.run import prepare
from metatl.lab.run.build import examples
from metatl.net import Net
from metatl.text import say
from metatl.transferring.backbone import Backbone, backbone
from metatl.transferring.rows import Row, named, parsed, rows
from metatl.transferring.summary import Summary, summary
from metatl.types import MetatlError


@dataclass(frozen=True)
class NetFile:
    """A net without data: model, shape of one example, number of outputs."""

    model: ModelMaker
    shape: tuple[int, ...]
    outputs: int
    head: str | None = None


@dataclass(frozen=True)
class _Example:
    """Stands where a preparation does; it gives a few rows, of which a batch norm can take moments."""

    x: Any

    def example(self) -> Any:
        """The rows."""
        return self.x


def net(words: argparse.Namespace) -> None:
    """`metatl net`: a line a layer, what is moved in all, and the memory of a step; or all of it as JSON."""
    with importing.received(trust=True) if words.trust else nullcontext():
        subject = subject_of(words.what, words.size, words.method is None)
    row = None if words.method is None else rows([words.method])[named(words.method)]
    if words.outputs is not None and words.outputs < 1:
        raise MetatlError(f"outputs is {words.outputs}; give 1 or more")
    found = summary(subject, row, words.outputs)
    if words.json:
        say(json.dumps(asdict(found), indent=2))
    else:
        _say(found, words.method, row)
        if weights := subject.facts.get("weights"):
            say(f"from: {weights}")


def subject_of(what: str, size: int | None = None, shapes: bool = False) -> Backbone:
    """The net of a name, as `--net` of `metatl transfer` takes it, or of a YAML file.

    A file is the config of an experiment, or says model, shape and outputs alone; shapes: whether those of
    such a net are enough, so that it is made without values where it can be. Raises MetatlError in one line
    for what is neither.
    """
    path = Path(what)
    if not grids.is_config(path):
        return backbone(what, size)
    if size is not None:
        raise MetatlError("size is of nets by name; a config's data or shape says what its net reads")
    values = config.read(path)
    if "data" in values:
        experiment = config.parse(values, (), what)
        run = prepare(experiment)
        x = examples(run.data, experiment.evaluation.tasks, "cpu")
        return _found(run.untransformed.module, run.untransformed.head, x, what)
    file: NetFile = parsed(values, NetFile, what)
    if shapes:
        try:
            return _made(file, what, "meta")
        except Exception:  # whatever a class raises that looks at values as it is made
            pass
    try:
        return _made(file, what, "cpu")
    except MetatlError:
        raise
    except Exception as error:  # and so does any class of somebody's own
        raise MetatlError(f"{what}: the model takes no row of {list(file.shape)}: {error}") from error


def _made(file: NetFile, what: str, device: str) -> Backbone:
    with torch.device(device):
        module, x = file.model(file.shape, file.outputs), torch.zeros(2, *file.shape)
        module.eval()(x)
    return _found(module, file.head, x, what)


def _found(module: nn.Module, head: str | None, x: Any, what: str) -> Backbone:
    head = Net.of(module, head, None if tree.first(x).is_meta else x).head
    if head is None:
        raise MetatlError(f"{what}: the net has no linear output layer; name one (head)")
    return Backbone(module.eval(), head, _Example(x), {}, what, {"net": what})


def _say(found: Summary, method: str | None, row: Row | None) -> None:
    table = [("layer", "kind", "output", "weights", *(("moved",) if method else ()))]
    for one in found.layers:
        shape = " x ".join(map(str, one.shape))
        moved = (f"{one.moved:,}",) if method else ()
        table.append((one.name, one.kind, shape, f"{one.weights:,}", *moved))
    wide = [max(map(len, column)) for column in zip(*table, strict=True)]
    for name, kind, shape, *counts in table:
        words = f"{name:<{wide[0]}}  {kind:<{wide[1]}}  {shape:<{wide[2]}}"
        said = [f"{count:>{width}}" for count, width in zip(counts, wide[3:], strict=True)]
        say("  ".join([words, *said]).rstrip())
    say(f"{found.weights:,} weights")
    if row is not None:
        most = "" if row.mask is None and row.learner is None else "at most "
        say(f"{method} moves {most}{found.moved:,} of them, {100 * found.moved / found.weights:.3g} %")
    if found.added:
        say(f"{method} adds weights {found.added}")
    said = ", ".join(f"{name} {size / 2**20:.1f} MiB" for name, size in found.bytes.items())
    say(f"memory{' of a step' if len(found.bytes) > 1 else ''}: {said}")
