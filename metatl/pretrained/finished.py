"""A finished run directory as a net: what `learned.json` says of it, and the weights that were learned.

A run directory may be somebody else's. It is read as data, JSON and safetensors: nothing that it names is
imported, and no size in it is believed before the weights agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from metatl import models
from metatl.data.prepared_signals import WindowPreparation
from metatl.data.source import Data
from metatl.lab import store
from metatl.net import Net
from metatl.pretrained import vision
from metatl.pretrained.preparation import AREA, LARGEST, Preparation
from metatl.pretrained.recipes import rebuild
from metatl.types import MetatlError, Transfer
from metatl.weights.files import sha256

VERSION = 1
"""Of `learned.json`; files of the first days carry none."""
FACTS, WEIGHTS = "learned.json", "transfer.safetensors"
_COUNTERS = "num_batches_tracked"


def facts(net: Net, model: Any, data: Data, transfer: Transfer) -> dict[str, Any]:
    """What `learned.json` says, beside the weights, of the net: {} for neither pictures nor windows.

    model: as described, {class_path, init_args}.
    """
    pixels, scales = data.pixels(), data.scales()
    if pixels is None and scales is None:
        return {}
    outputs, shape = net.rows(transfer.params), list(data.shape)
    said: dict[str, Any] = {"model": model, "head": net.head, "outputs": outputs, "shape": shape}
    if pixels is not None:
        return {**said, "pixels": list(pixels)}
    return {**said, "scales": [list(values) for values in scales or ()]}


@dataclass(frozen=True)
class Finished:
    """A run's net: dotted path of its class, its arguments, and what else `rebuild` needs; its weights.

    tensors: parameters and buffers by name; sha256: of their file.
    """

    folder: Path
    model: str
    arguments: Mapping[str, Any]
    head: str | None
    outputs: int
    preparation: Preparation | WindowPreparation
    tensors: Mapping[str, Tensor]
    sha256: str

    def built_in(self) -> str | None:
        """The name of the built-in net that it is; None for a class of somebody's own."""
        paths = {
            f"{made.__module__}.{made.__qualname__}": name
            for name, made in vars(models).items()
            if name in (*vision.BUILT_IN, *vision.OF_SIGNALS)
        }
        return paths.get(self.model)

    def recipe(self, kind: str, name: str, preparation: Preparation | WindowPreparation) -> dict[str, Any]:
        """The recipe of its architecture for what this preparation gives."""
        return {
            "kind": kind,
            "name": name,
            "shape": list(preparation.example().shape[1:]),
            "outputs": self.outputs,
            "arguments": dict(self.arguments),
        }

    def check(self, recipe: Mapping[str, Any]) -> None:
        """Raise MetatlError where a built-in net would not have the file's weights; nothing is allocated."""
        with torch.device("meta"):
            self._fitting(rebuild(recipe), recipe)

    def load(self, module: nn.Module, recipe: Mapping[str, Any]) -> str:
        """Put the weights into the module; one line on them. Raises MetatlError where they do not fit."""
        own = self._fitting(module, recipe)
        for name, leaf in self.tensors.items():
            if leaf.is_floating_point() and not bool(leaf.isfinite().all()):
                raise MetatlError(f"{self.folder}: {name} holds values that are not finite")
            own[name].data.copy_(leaf)
        return f"{len(self.tensors)} of {len(self.tensors)} tensors from the run{self._remark()}"

    def _fitting(self, module: nn.Module, recipe: Mapping[str, Any]) -> dict[str, Tensor]:
        """The module's tensors by name, of the names and shapes of the file's."""
        own = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        own = {name: leaf for name, leaf in own.items() if not name.endswith(_COUNTERS)}
        for name in [*own, *self.tensors]:
            mine, theirs = own.get(name), self.tensors.get(name)
            if mine is None or theirs is None or mine.shape != theirs.shape:
                raise MetatlError(
                    f"{self.folder}: weight '{name[:100]}' does not fit {recipe['name']} "
                    f"for inputs of {recipe['shape']}; the run's own size is "
                    f"{self.preparation.example().shape[-1]}"
                )
        return own

    def _remark(self) -> str:
        """Whether batch norms have running moments that were never taken."""
        means = [leaf for name, leaf in self.tensors.items() if name.endswith("running_mean")]
        spreads = [leaf for name, leaf in self.tensors.items() if name.endswith("running_var")]
        if not means or any(bool(leaf.any()) for leaf in means) or any(bool((v != 1).any()) for v in spreads):
            return ""
        return "; its learner took no running moments, so photos pass its batch norms with mean 0, variance 1"


def finished(folder: Path) -> Finished:
    """The net of a run directory. Raises MetatlError for one that is none, unfinished or damaged.

    Also for a run on examples that are no square pictures, and for one that says nothing of its net.
    """
    if not (folder / FACTS).is_file() or not (folder / WEIGHTS).is_file():
        if not (folder / "config.yaml").is_file():
            raise MetatlError(f"{folder} is no run directory (it has no {FACTS}); name one under runs/")
        raise MetatlError(f"{folder} is not finished; 'metatl run {folder}/config.yaml' goes on with it")
    told = store.read_json(folder / FACTS)
    told = cast(Mapping[str, Any], told if isinstance(told, Mapping) else {})
    store.refuse_newer(folder / FACTS, told.get("version"), VERSION)
    whose = str(told.get("digest", ""))
    transfer = store.load_transfer(folder / WEIGHTS, whose, older=not whose)
    net = told.get("net")
    if net is None:
        raise MetatlError(
            f"{folder} does not say how its examples are prepared: it was learned on other data, or before "
            f"runs noted that; 'metatl run {folder}/config.yaml' notes it"
        )
    if net == {}:
        raise MetatlError(
            f"{folder} was learned on examples that are no square pictures (bytes, or floats from 0 to 1) "
            "and no windows of sensors; nothing can be prepared for it: name another run"
        )
    try:
        return _read(folder, store.placed(net, store.kept(told.get("kept"), folder)), transfer)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, ArithmeticError) as error:
        raise MetatlError(
            f"{folder / FACTS} is damaged; restore it, or 'metatl run {folder}/config.yaml --again'"
        ) from error


def _read(folder: Path, net: Mapping[str, Any], transfer: Transfer) -> Finished:
    preparation = _of_windows(net) if "scales" in net else _of_pictures(net)
    head = net["head"]
    return Finished(
        folder,
        str(net["model"]["class_path"]),
        dict(net["model"].get("init_args") or {}),
        head if head is None else str(head),
        int(net["outputs"]),
        preparation,
        {**transfer.params, **transfer.buffers},
        sha256(folder / WEIGHTS),
    )


def _of_pictures(net: Mapping[str, Any]) -> Preparation:
    channels, side, _ = (int(n) for n in net["shape"])
    scale, shift = (float(value) for value in net["pixels"])
    if not 1 <= side <= LARGEST:
        raise ValueError(side)
    # scale * v + shift = (v / 255 - mean) / std
    std = 1 / (255 * scale)
    return Preparation(side, (0.0 - shift * std,) * channels, (std,) * channels, AREA, 1.0, channels)


def _of_windows(net: Mapping[str, Any]) -> WindowPreparation:
    channels, length = (int(n) for n in net["shape"])
    mean, deviation = net["scales"]
    if len(mean) != channels:
        raise ValueError(channels)
    return WindowPreparation(tuple(mean), tuple(deviation), length)
