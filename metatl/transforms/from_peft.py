"""Additions that peft has written."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from metatl.additions import Addition
from metatl.net import Net
from metatl.transforms.peft_layers import addition, fitted
from metatl.transforms.targets import shared, weight_of
from metatl.transforms.transform import Transform, extended
from metatl.types import MetatlError, Params, Transfer
from metatl.weights.peft import placed, read_peft


@dataclass(frozen=True)
class FromPeft(Transform):
    """The LoRA, rsLoRA, DoRA or (IA)^3 of a folder that peft's save_pretrained wrote, as it was learned.

    Layers are found by name, also behind a wrapper's prefix. Weights that the file holds whole (an output
    layer among `modules_to_save`) take the place of the net's. What moves is as with `LoRA`.

    Args:
        folder: with adapter_config.json and adapter_model.safetensors.

    Calling it raises MetatlError for other kinds of adapters, for layers that the net lacks or that are
    neither linear nor convolutions, for tensors of other shapes, and for layers with an addition already.
    """

    folder: str

    def __call__(self, net: Net, transfer: Transfer) -> tuple[Net, Transfer]:
        """The net with additions and the transfer with their weights."""
        folder = Path(self.folder)
        adapter = read_peft(folder)
        before = placed(adapter, [name for name, _ in net.module.named_modules()], folder)
        added, made, apart = list[Addition](), Params(), shared(net.module)
        for layer, tensors in adapter.layers.items():
            name = before + layer
            if name in apart:
                raise MetatlError(f"{folder}: the weight of '{name}' is not that layer's alone in this net")
            one = addition(adapter, layer, name, net.module.get_submodule(name))
            if one is None:
                raise MetatlError(f"{folder}: layer '{name}' is neither linear nor a convolution here")
            weight = weight_of(net, transfer.params, name)
            added.append(one)
            made |= fitted(one, tensors, weight, folder)
        own = {before + name: leaf for name, leaf in adapter.rest.items()}
        apart_rows = set() if net.head is None else {net.head_weight, net.head_bias}
        rows = {len(leaf) for name, leaf in own.items() if name in apart_rows and leaf.dim()}
        for name, leaf in own.items():
            like = transfer.params.get(name)
            head = name in apart_rows and len(rows) == 1  # with rows of its own
            if like is None or leaf.shape != ((*rows, *like.shape[1:]) if head else like.shape):
                raise MetatlError(f"{folder}: there is no place for '{name}' {list(leaf.shape)} in this net")
        own = {name: leaf.to(transfer.params[name]) for name, leaf in own.items()}
        new, carried = extended(net, transfer, added, made)
        return new, replace(carried, params=carried.params | own)
