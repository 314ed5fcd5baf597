"""A saved model opened: from files alone, in a fresh process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from metatl import importing
from metatl.additions import Addition, attach_
from metatl.data.targets import Kind
from metatl.lab import store
from metatl.lab.store.tensors import read_tensors
from metatl.transferring.backbone import headless, rebuilt
from metatl.transferring.judging import Scale
from metatl.transferring.kinds import (
    opened_additions,
    opened_preparation,
    opened_reader,
)
from metatl.transferring.model import FACTS, SEP, VERSION, WEIGHTS, SavedModel, Transferred
from metatl.transferring.readout import readout_of
from metatl.types import MetatlError


def open_model(folder: str | Path, own: str | None = None, trust: bool = False) -> SavedModel:
    """The model of a folder. own: the user's own class, by dotted path, where the net is one.

    trust: import whatever module the folder names.

    Raises MetatlError in one line for a folder that holds none, a newer or a damaged one.
    """
    folder = Path(folder)
    if not (folder / FACTS).is_file():
        raise MetatlError(f"{folder} holds no {FACTS}; name the model folder that 'metatl transfer' wrote")
    values = store.read_json(folder / FACTS)
    tensors, _ = read_tensors(folder / WEIGHTS, "model")
    lost = next((name for name, leaf in tensors.items() if bool(leaf.isnan().any())), None)
    if lost is not None:
        raise MetatlError(
            f"{folder / WEIGHTS}: '{lost}' holds NaN, so that it names nothing; run 'metatl transfer'"
        )
    if not isinstance(values, Mapping):
        raise MetatlError(f"{folder / FACTS} is damaged; restore it or run 'metatl transfer' again")
    values = cast(Mapping[str, Any], values)
    store.refuse_newer(folder / FACTS, values.get("version"), VERSION)
    try:
        net = store.renamed(values["net"], store.kept(values.get("kept"), folder))
        with importing.received(trust):
            return _opened({**_FIRST, **values, "net": net}, tensors, own)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError, StopIteration) as error:
        said = " ".join(str(error).split())[:200]
        raise MetatlError(
            f"{folder} is damaged ({said}); restore it or run 'metatl transfer' again"
        ) from error


_FIRST = {"targets": "classes", "reader": {"kind": "photos"}}
"""What the first version did not say."""


def _opened(values: Mapping[str, Any], tensors: Mapping[str, Tensor], own: str | None) -> SavedModel:
    head, names, layer = str(values["head"]), tuple(map(str, values["classes"])), values["readout"]
    held, prepared, scale = (_group(tensors, name) for name in ("body", "preparation", "scale"))
    additions = opened_additions(values.get("additions", []))
    if values["net"].get("kind") != "own":  # no size in a file is believed before its weights have it
        with torch.device("meta"):
            _check_fits(headless(rebuilt(values["net"]), head), held, additions)
    body = headless(rebuilt(values["net"], own), head)
    _check_fits(body, held, additions)
    attach_(body, additions, held)
    body.load_state_dict(held)
    leaves = [tensors[f"readout{SEP}{i}"] for i in range(int(layer["tensors"]))]
    if not 0 < int(layer["width"]) * len(names) <= sum(leaf.numel() for leaf in leaves):
        raise ValueError(f"an output layer of width {layer['width']}")
    readout = readout_of(layer["adaptation"], int(layer["width"]), len(names), leaves)
    kind = cast(Kind, values["targets"])
    if kind not in ("classes", "labels", "real"):
        raise ValueError(f"targets {str(kind)[:40]!r}")
    reader = opened_reader(values["reader"])
    plain = Scale.of(torch.zeros(1, dtype=torch.int64))
    of = Scale(scale["mean"], scale["deviation"]) if scale else plain
    preparation = opened_preparation(values["preparation"], prepared)
    module = Transferred(body, readout, of)
    with torch.no_grad():
        outputs = module.eval()(preparation.example())
    if outputs.shape[1:] != (len(names),):
        raise ValueError(f"{len(names)} names for outputs of shape {list(outputs.shape)[1:]}")
    return SavedModel(
        module, kind, names, reader, preparation, dict(values["net"]), head, dict(values["made"])
    )


def _group(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, without that beginning."""
    before = name + SEP
    return {key.removeprefix(before): leaf for key, leaf in tensors.items() if key.startswith(before)}


def _check_fits(body: nn.Module, held: Mapping[str, Tensor], additions: Sequence[Addition]) -> None:
    """That the tensors are the body's and the additions', whose own sizes are whatever they are."""
    added = {name: held[name].shape for one in additions for name in one.names()}
    shapes = {name: leaf.shape for name, leaf in body.state_dict().items()} | added
    if shapes != {name: leaf.shape for name, leaf in held.items()}:
        raise ValueError("its weights are not those of its net")
