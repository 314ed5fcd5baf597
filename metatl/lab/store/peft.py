"""Additions written as peft reads them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor

from metatl.additions import Addition
from metatl.lab.store.files import write_atomic, write_json
from metatl.lab.store.folders import make_folder
from metatl.net import Net
from metatl.transforms.decomposed import Decomposed
from metatl.transforms.low_rank import LowRank
from metatl.transforms.rescaled import Rescaled
from metatl.types import MetatlError, Params, Transfer
from metatl.weights.peft import CONFIG, PREFIX, TENSORS

_PEFT = ("default", "base_layer", "lora_dropout", "lora_A", "lora_B", "lora_magnitude_vector", "ia3_l")
"""Names that peft's own modules have."""


def save_peft(folder: str | Path, net: Net, transfer: Transfer) -> None:
    """Write the net's LoRA, DoRA or (IA)^3 as adapter_config.json and adapter_model.safetensors.

    The added weights are there, and the output layer (`modules_to_save`); nothing of the base. peft opens it
    over the same module: PeftModel.from_pretrained(module, folder). An output layer whose name others end in
    (`out` beside `blocks.0.out`) is not named there, as peft would take these too: it then loads it into the
    module. Raises MetatlError where nothing was added, or what is none of these, or kinds of them side by
    side, and where the output layer moved a weight that another layer holds too.
    """
    known = (LowRank, Decomposed, Rescaled)
    kinds = {next((kind for kind in known if isinstance(one, kind)), type(one)) for one in net.additions}
    if len(kinds) != 1 or not kinds <= {*known}:
        named = ", ".join(sorted(kind.__name__ for kind in kinds)) or "nothing"
        raise MetatlError(f"peft's files take additions of one kind, LoRA, DoRA or IA3; the net has {named}")
    config = _shared(net) | (_ia3(net) if Rescaled in kinds else _lora(net, transfer.params))
    tensors = {n: _shaped(one, n, transfer.params) for one in net.additions for n in one.names()}
    tensors |= {name: transfer.params[name] for name in _of_output_layer(net)}
    held = {PREFIX + name: leaf.detach().cpu().contiguous() for name, leaf in tensors.items()}
    make_folder(Path(folder))
    write_atomic(Path(folder) / TENSORS, save(held, {"format": "pt"}))
    write_json(Path(folder) / CONFIG, config)


def _pattern(layers: list[str]) -> str:
    return f"({'|'.join(re.escape(layer) for layer in layers)})"


def _shared(net: Net) -> dict[str, Any]:
    return {
        "base_model_name_or_path": None,
        "task_type": None,
        "inference_mode": True,
        "target_modules": _pattern([one.layer for one in net.additions]),
        "modules_to_save": [net.head] if _named_alone(net) else None,
    }


def _of_output_layer(net: Net) -> list[str]:
    """The names of the output layer's weights; MetatlError where one is another layer's too, and moves."""
    names = sorted(name for name in net.head_weights if name.startswith(f"{net.head}."))
    apart = net.head_weights - {*names}
    if apart - net.frozen:
        raise MetatlError(
            f"the output layer '{net.head}' shares {min(apart)} with another layer and moves it, which "
            "peft's files do not say; untie the layer, or give the weight requires_grad=False"
        )
    return names


def _named_alone(net: Net) -> bool:
    """Whether peft, to which a name means every module whose name ends so, takes the head's for it alone.

    And whether it finds the layer's whole weight in the file, as it wants to of what it is told.
    """
    if net.head is None or not all(name.startswith(f"{net.head}.") for name in net.head_weights):
        return False
    theirs = [name for name, _ in net.module.named_modules(remove_duplicate=False)] + [*_PEFT]
    return sum(name.endswith(net.head) for name in theirs) == 1


def _ia3(net: Net) -> dict[str, Any]:
    taken = [one.layer for one in net.additions if one == Rescaled(one.layer, "input")]
    return {"peft_type": "IA3", "feedforward_modules": _pattern(taken) if taken else []}


def _lora(net: Net, params: Params) -> dict[str, Any]:
    low = [one for one in net.additions if isinstance(one, LowRank | Decomposed)]
    ranks = {one.layer: len(params[one.names()[0]]) for one in low}
    alphas = {one.layer: one.scale * ranks[one.layer] for one in low}
    return {
        "peft_type": "LORA",
        "r": max(ranks.values()),
        "lora_alpha": max(alphas.values()),
        "rank_pattern": _unlike(ranks, max(ranks.values())),
        "alpha_pattern": _unlike(alphas, max(alphas.values())),
        "lora_dropout": max(one.dropout for one in low),
        "use_dora": isinstance(low[0], Decomposed),
        "bias": "none",
    }


def _unlike(values: dict[str, Any], most: Any) -> dict[str, Any]:
    return {f"^{re.escape(layer)}": value for layer, value in values.items() if value != most}


def _shaped(one: Addition, name: str, params: Params) -> Tensor:
    """A vector with the axes that peft gives it; all else as it is."""
    leaf = params[name]
    if leaf.dim() > 1:
        return leaf
    axes = params[f"{one.layer}.weight"].dim()
    if name.endswith("ia3_l"):
        first = axes > 2 or one == Rescaled(one.layer, "input")
        return leaf.view(*((1, -1) if first else (-1, 1)), *(1,) * (axes - 2))
    if name.endswith("vector") and axes > 2:
        return leaf.view(1, -1, *(1,) * (axes - 2))
    return leaf
