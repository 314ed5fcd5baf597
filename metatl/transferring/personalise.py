"""`metatl personalise`: a finished run, or a saved model, adapted to one person, kept as what moved in it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from metatl import importing
from metatl.adapt import Descent, check_finite, in_rounds
from metatl.heads import Learned
from metatl.lab import store
from metatl.net import Net
from metatl.objectives import KLAnchor, TaskLoss
from metatl.personal import Personal
from metatl.personalise import Personaliser, load
from metatl.rules import Adam
from metatl.text import near
from metatl.transferring.features import passed
from metatl.transferring.judging import Scale
from metatl.transferring.model import FACTS, SavedModel, Transferred
from metatl.transferring.readout import layer_of, linear_readout
from metatl.types import Batch, MetatlError, Transfer

STEPS, BATCH, ANCHOR = 40, 16, 0.5
"""Steps of the way that a saved model is adapted in, rows of each, and the weight of its anchor."""
RATE_OF_HEAD, RATE_OF_SMALL, RATE_OF_LARGE, LARGE = 5e-2, 1e-3, 1e-4, 1_000_000
"""Rates of Adam: of an output layer alone, of nets of fewer weights than LARGE, of larger ones."""


def saved_at(folder: Path) -> Path | None:
    """Where the model of `metatl transfer` lies; None for a folder that is none, a run directory say."""
    return next((place for place in (folder, folder / "model") if (place / FACTS).is_file()), None)


def classes_of(base: Personaliser, folder: Path) -> tuple[str, ...] | None:
    """Names of the classes that every task has; None where an output layer is new to each.

    Raises MetatlError for a carried layer whose classes have no names.
    """
    if base.source is None or not base.adaptation.carries:
        return None
    names = getattr(base.source.load(), "labels", None)
    if names is None:
        raise MetatlError(
            f"{folder}: nobody knows what its outputs are called; adapt in Python (metatl.load(RUN).adapt)"
        )
    return tuple(names)


def personalise_run(folder: Path, examples: Path, trust: bool = False) -> Personal:
    """A finished run, adapted in its own way to the labelled rows of a file like its data's.

    Raises MetatlError in one line for rows that its source does not read, and for a class that it lacks.
    """
    base = load(folder, trust)
    names = classes_of(base, folder)
    assert base.source is not None
    with importing.received(trust):  # a source may name a net
        rows = base.source.further(examples, base.source.load(), labelled=True)
    if not rows.ids or rows.labels is None:
        raise MetatlError(f"{examples}: no labelled {rows.unit}; give one or more")
    if names is None:
        return base.adapt(rows.x, list(rows.labels))
    check_known(rows.labels, names, examples)
    found = base.adapt(rows.x, [names.index(one) for one in rows.labels])
    return replace(found, labels=list(names))


def check_known(labels: tuple[str, ...], names: tuple[str, ...], where: Path) -> None:
    """Raise MetatlError for a class that was not learned, naming the nearest."""
    unknown = next((one for one in labels if one not in names), None)
    if unknown is not None:
        raise MetatlError(f"{where}: class {unknown!r} is none that was learned{near(unknown, names)}")


class _Whole(nn.Module):
    """A saved model's body with its readout as an output layer."""

    def __init__(self, model: SavedModel) -> None:
        super().__init__()
        weight, bias = _layer(model)
        self.body = model.module.body
        self.head = nn.Linear(weight.shape[1], weight.shape[0])
        self.head.load_state_dict(OrderedDict(weight=weight, bias=bias))

    def forward(self, x: Any = None, **named: Any) -> Tensor:
        """Prepared rows -> outputs, real values standardised."""
        return self.head(passed(self.body, named or x))


def _layer(model: SavedModel) -> tuple[Tensor, Tensor]:
    """The output layer of a model; MetatlError for a readout that is no linear layer."""
    readout = model.module.readout
    weight, bias = layer_of(readout)
    probe = torch.randn(8, readout.width, generator=torch.Generator().manual_seed(0))
    outputs = readout(probe)
    if not torch.allclose(outputs, probe @ weight.T + bias, rtol=1e-3, atol=1e-3):
        raise MetatlError(
            f"{model.made.get('method', 'this model')} has no output layer that could move; save "
            "another row with 'metatl transfer --methods fine-tuning,head-only', say"
        )
    return weight, bias


def _net_of(model: SavedModel) -> tuple[Net, Transfer]:
    whole = _Whole(model).eval()
    net = Net.of(whole, "head", model.preparation.example())
    return net, net.start()


def _way(model: SavedModel) -> Descent:
    count = sum(leaf.numel() for leaf in model.module.body.parameters())
    rate = RATE_OF_HEAD if not count else RATE_OF_SMALL if count < LARGE else RATE_OF_LARGE
    terms = (KLAnchor(ANCHOR),) if model.kind == "classes" else (TaskLoss(),)
    return Descent(
        Adam(rate), steps=STEPS, head=Learned(), terms=terms, batch_size=BATCH, moments="frozen", shuffle=True
    )


def personalise_model(model: SavedModel, x: Any, y: Tensor) -> tuple[Transfer, Transfer]:
    """A saved model before and after it is adapted to prepared rows x with targets y [n].

    All weights move, held near the model's own predictions where targets are classes (`KLAnchor`).
    """
    net, base = _net_of(model)
    way, scale = _way(model), Scale(model.module.get_buffer("mean"), model.module.get_buffer("deviation"))
    with torch.no_grad():
        fitted = way.fit(net, base, in_rounds(Batch(x, scale.down(y)), way.batch_size))
    made = way.adapted(net, base, fitted)
    check_finite(made, "adapted to these examples: ")
    return base, made


def with_delta(model: SavedModel, delta: Path) -> SavedModel:
    """The model with what moved for a person; MetatlError for the delta of another model."""
    net, base = _net_of(model)
    made, _ = store.load_delta(delta, base)
    body = net.module.get_submodule("body")
    body.load_state_dict(
        {
            n.removeprefix("body."): leaf
            for n, leaf in {**made.params, **made.buffers}.items()
            if n[:5] == "body."
        },
        strict=False,
    )
    readout = linear_readout(made.params["head.weight"], made.params["head.bias"])
    scale = Scale(model.module.get_buffer("mean"), model.module.get_buffer("deviation"))
    return replace(model, module=Transferred(body, readout, scale))
