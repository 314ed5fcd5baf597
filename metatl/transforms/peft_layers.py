"""peft's tensors of a layer as an addition of ours."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from metatl.additions import Addition
from metatl.transforms.decomposed import decomposed
from metatl.transforms.low_rank_kernel import kernel, product
from metatl.transforms.rescaled import Rescaled
from metatl.transforms.targets import adaptable, linear
from metatl.types import MetatlError, Params
from metatl.weights.peft import PeftAdapter


def addition(adapter: PeftAdapter, layer: str, name: str, module: nn.Module) -> Addition | None:
    """The addition at a layer of the net; None where it cannot be there."""
    tensors = adapter.layers[layer]
    if "ia3_l" in tensors:
        return Rescaled(name, "input" if adapter.before(layer) else "output") if linear(module) else None
    scale, dora = adapter.scale(layer, len(tensors.get("lora_A.weight", ()))), adapter.config.get("use_dora")
    if not (linear if dora else adaptable)(module) and not kernel(module):
        return None
    made = decomposed if dora else product
    return made(module, name, scale, float(adapter.config.get("lora_dropout", 0)))


def fitted(one: Addition, tensors: dict[str, Tensor], weight: Tensor, folder: Path) -> Params:
    """peft's tensors by our names; MetatlError where one is missing or of another shape."""
    given = {f"{one.layer}.{own}": leaf.to(weight) for own, leaf in tensors.items()}
    vectors = {name for name in given if name.endswith(("vector", "ia3_l"))}
    found = {name: leaf.flatten() if name in vectors else leaf for name, leaf in given.items()}
    rank = len(found.get(f"{one.layer}.lora_A.weight", ()))
    sizes = {
        "lora_A.weight": (rank, *weight.shape[1:]),
        "lora_B.weight": (len(weight), rank, *(1 for _ in weight.shape[2:])),
        "ia3_l": (weight.shape[1] if one == Rescaled(one.layer, "input") else len(weight),),
        "lora_magnitude_vector": (len(weight),),
    }
    for name in one.names():
        leaf, size = found.get(name), sizes[name.removeprefix(f"{one.layer}.")]
        if leaf is None or tuple(leaf.shape) != size:
            there = "is missing" if leaf is None else f"has shape {list(leaf.shape)}"
            raise MetatlError(f"{folder}: '{name}' {there}; the layer takes {list(size)}")
    return {name: found[name] for name in one.names()}
