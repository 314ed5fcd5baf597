"""A fitted model as a folder: safetensors and JSON, opened in a fresh process without the training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from PIL import Image
from torch import Tensor, nn

from metatl import importing, tree
from metatl.adapt import check_outputs
from metatl.data.images import as_seen
from metatl.lab import store
from metatl.lab.describe import describe
from metatl.lab.store.tensors import read_tensors, write_tensors
from metatl.norm import Rows, moments_from
from metatl.pretrained import Preparation
from metatl.transferring.backbone import BATCH, Backbone, headless, rebuilt
from metatl.transferring.fit import Model
from metatl.transferring.readout import Readout, readout_of
from metatl.types import MetatlError

VERSION = 1
WEIGHTS, FACTS = "weights.safetensors", "model.json"
_SEP = "::"


class Transferred(nn.Module):
    """A plain module: prepared photos [n, c, h, w] -> outputs [n, classes]; softmax gives probabilities."""

    def __init__(self, body: nn.Module, readout: Readout) -> None:
        super().__init__()
        self.body, self.readout = body, readout
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for prepared photos; none depends on the others."""
        with moments_from(Rows(frozen=True)):
            return self.readout(self.body(x).flatten(1))


@dataclass(frozen=True)
class PhotoModel:
    """A module with what it needs around it: classes, preparation, the recipe of its architecture.

    made: how it came about, as plain values.
    """

    module: Transferred
    classes: tuple[str, ...]
    preparation: Preparation
    recipe: Mapping[str, Any]
    head: str
    made: Mapping[str, Any]

    def prepared(self, picture: str | Path | bytes | Image.Image, where: str = "picture") -> Tensor:
        """A picture as the net wants it, [c, h, w]; raises MetatlError naming one that cannot be read."""
        return self.preparation(as_seen(picture, str(picture) if isinstance(picture, str | Path) else where))

    def probabilities(self, x: Tensor) -> Tensor:
        """[n, classes] for prepared photos [n, c, h, w]; MetatlError where an output is not finite."""
        found = self.outputs(x)
        check_outputs(found, "picture")
        return found.softmax(-1)

    def outputs(self, x: Tensor) -> Tensor:
        """[n, classes] for prepared photos [n, c, h, w], as they come."""
        with torch.no_grad():
            parts = [self.module(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
        return torch.cat(parts) if parts else torch.zeros(0, len(self.classes))

    def save(self, folder: str | Path) -> None:
        """Write `weights.safetensors` and `model.json`."""
        folder, readout = Path(folder), self.module.readout
        tensors = {f"body{_SEP}{name}": leaf for name, leaf in self.module.body.state_dict().items()}
        leaves, nesting = tree.flatten(readout.fitted)
        tensors |= {f"readout{_SEP}{i}": leaf for i, leaf in enumerate(leaves)}
        _check_layout(readout, nesting)
        store.make_folder(folder)
        write_tensors(folder / WEIGHTS, "model", tensors, {})
        layer = {"adaptation": describe(readout.adaptation), "width": readout.width, "tensors": len(leaves)}
        values = {
            "version": VERSION,
            "classes": list(self.classes),
            "preparation": describe(self.preparation),
            "net": dict(self.recipe),
            "kept": store.keep(self.recipe.get("arguments"), folder),
            "head": self.head,
            "readout": layer,
            "made": dict(self.made),
        }
        store.write_json(folder / FACTS, values)


def photo_model(
    net: Backbone, fitted: Model, classes: tuple[str, ...], made: Mapping[str, Any]
) -> PhotoModel:
    """A fitted row with what it needs around it; a body that did not move is the backbone's."""
    body = fitted.body if fitted.body is not None else net.body()
    module = Transferred(body, fitted.readout)
    return PhotoModel(module, classes, net.preparation, net.recipe, net.head, made)


def open_model(folder: str | Path, own: str | None = None, trust: bool = False) -> PhotoModel:
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
            return _opened({**values, "net": net}, tensors, own)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise MetatlError(
            f"{folder} is damaged ({said}); restore it or run 'metatl transfer' again"
        ) from error


def _opened(values: Mapping[str, Any], tensors: Mapping[str, Tensor], own: str | None) -> PhotoModel:
    head, classes, layer = str(values["head"]), tuple(map(str, values["classes"])), values["readout"]
    held = {name.partition(_SEP)[2]: leaf for name, leaf in tensors.items() if name.startswith("body" + _SEP)}
    if values["net"].get("kind") != "own":  # no size in a file is believed before its weights have it
        with torch.device("meta"):
            _check_fits(headless(rebuilt(values["net"]), head), held)
    body = headless(rebuilt(values["net"], own), head)
    _check_fits(body, held)
    body.load_state_dict(held)
    leaves = [tensors[f"readout{_SEP}{i}"] for i in range(int(layer["tensors"]))]
    if not 0 < int(layer["width"]) * len(classes) <= sum(leaf.numel() for leaf in leaves):
        raise ValueError(f"an output layer of width {layer['width']}")
    readout = readout_of(layer["adaptation"], int(layer["width"]), len(classes), leaves)
    preparation = Preparation(**values["preparation"])
    return PhotoModel(
        Transferred(body, readout), classes, preparation, dict(values["net"]), head, dict(values["made"])
    )


def _check_fits(body: nn.Module, held: Mapping[str, Tensor]) -> None:
    shapes = {name: leaf.shape for name, leaf in body.state_dict().items()}
    if shapes != {name: leaf.shape for name, leaf in held.items()}:
        raise ValueError("its weights are not those of its net")


def _check_layout(readout: Readout, nesting: tree.Nesting) -> None:
    """What a reader makes of the tensors must be what was fitted."""
    leaves, _ = tree.flatten(readout.fitted)
    again = readout_of(describe(readout.adaptation), readout.width, readout.outputs, leaves)
    if again.nesting != nesting:
        raise MetatlError(f"a model of {type(readout.adaptation).__name__} cannot be kept in a file")
