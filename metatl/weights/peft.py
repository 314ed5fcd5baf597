"""Folders of adapters as peft lays them out: adapter_config.json beside adapter_model.safetensors."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from torch import Tensor

from metatl.opening import check_regular, reading
from metatl.types import MetatlError
from metatl.weights.files import held

CONFIG, TENSORS, PREFIX = "adapter_config.json", "adapter_model.safetensors", "base_model.model."
_OWN = re.compile(r"\.(lora_A\.weight|lora_B\.weight|lora_magnitude_vector(\.weight)?|ia3_l)$")
_OTHER = (
    *("use_qalora", "use_bdlora", "kasa_config", "velora_config", "monteclora_config", "arrow_config"),
    *("alora_invocation_tokens", "fan_in_fan_out", "lora_bias", "target_parameters", "layer_replication"),
)
"""Settings that make it another function."""


@dataclass(frozen=True)
class PeftAdapter:
    """What such a folder holds.

    config: as it stands there; layers: each one's own tensors by their last names (`lora_A.weight`, ...);
    rest: tensors of the net itself that were saved whole (an output layer, say).
    """

    config: Mapping[str, Any]
    layers: dict[str, dict[str, Tensor]]
    rest: dict[str, Tensor]

    def scale(self, layer: str, r: int) -> float:
        """alpha / r of a layer, or alpha / sqrt(r) with `use_rslora`; alpha by its pattern, if any."""
        patterns = cast(Mapping[str, float], self.config.get("alpha_pattern") or {})
        fits = (alpha for key, alpha in patterns.items() if re.match(rf"(.*\.)?({key})$", layer))
        alpha = next(fits, self.config.get("lora_alpha", 8))
        return alpha / (math.sqrt(r) if self.config.get("use_rslora") else r)

    def before(self, layer: str) -> bool:
        """Whether a layer of (IA)^3 is one of a feed-forward block, whose input is rescaled."""
        named = self.config.get("feedforward_modules") or ()
        if isinstance(named, str):
            return re.fullmatch(named, layer) is not None
        return any(layer == name or layer.endswith(f".{name}") for name in named)


def read_peft(folder: Path) -> PeftAdapter:
    """The adapter of a folder; MetatlError for what is none, and for kinds of adapters that are not known."""
    path = folder / CONFIG
    if not path.is_file():
        raise MetatlError(f"{folder} holds no {CONFIG}; name the folder that peft's save_pretrained wrote")
    check_regular(path)
    try:
        with reading(path) as file:
            config = json.loads(file.read())
    except ValueError as error:
        raise MetatlError(f"{path} is no JSON ({error})") from error
    if not isinstance(config, dict):
        raise MetatlError(f"{path} is no mapping of settings")
    config = cast(dict[str, Any], config)
    _check_known(path, config)
    _check_numbers(path, config)
    layers, rest = dict[str, dict[str, Tensor]](), dict[str, Tensor]()
    for name, leaf in held(folder / TENSORS)[""].items():
        if leaf.is_floating_point() and not bool(leaf.isfinite().all()):
            raise MetatlError(
                f"{folder / TENSORS}: {name} holds values that are not finite; the file is damaged"
            )
        if "lora_embedding_" in name:
            raise MetatlError(
                f"{folder}: it adds to an embedding ({name}), which is not read; merge it with peft"
            )
        name = name.removeprefix(PREFIX).replace(".base_layer.", ".")
        found = _OWN.search(name)
        if found is None:
            rest[name] = leaf
        else:
            layers.setdefault(name[: found.start()], {})[found[1].replace("vector.weight", "vector")] = leaf
    return PeftAdapter(config, layers, rest)


def placed(adapter: PeftAdapter, known: Collection[str], folder: Path) -> str:
    """What stands before peft's names in the net's; MetatlError where its layers are none of the net's."""
    first = next(iter(adapter.layers), "")
    befores = [name.removesuffix(first) for name in known if f".{name}".endswith(f".{first}")]
    fits = [one for one in befores if all(one + layer in known for layer in adapter.layers)]
    if not first or len(fits) != 1:
        lost = next((layer for layer in adapter.layers if layer not in known), first)
        why = "fits at several places of the net" if fits else f"adds to layer '{lost}', which the net lacks"
        raise MetatlError(f"{folder} {why if first else 'adds nothing to any layer'}")
    return fits[0]


def _check_numbers(path: Path, config: Mapping[str, Any]) -> None:
    """Refuse settings that are no numbers, and patterns that are none."""
    patterns, dropout = config.get("alpha_pattern") or {}, config.get("lora_dropout", 0.0)
    if not isinstance(patterns, Mapping):
        raise MetatlError(f"{path}: alpha_pattern is {patterns!r}; it maps patterns of layers to numbers")
    given = {"lora_alpha": config.get("lora_alpha", 8), "lora_dropout": dropout, **patterns}
    for name, value in cast(Mapping[str, Any], given).items():
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise MetatlError(f"{path}: {name} is {value!r}, which is no number")
    if not 0 <= dropout < 1:
        raise MetatlError(f"{path}: lora_dropout is {dropout}; it is a share from 0 to below 1")
    for pattern in cast(Mapping[str, Any], patterns):
        try:
            re.compile(pattern)
        except re.error as error:
            raise MetatlError(f"{path}: '{pattern}' is not a regular expression ({error})") from error


def _check_known(path: Path, config: Mapping[str, Any]) -> None:
    other = next((key for key in _OTHER if config.get(key)), None)
    if other is not None:
        raise MetatlError(f"{path}: '{other}' is set, which is not read; merge the adapter with peft instead")
    kind, start = config.get("peft_type"), str(config.get("init_lora_weights", True)).lower()
    if kind not in ("LORA", "IA3"):
        raise MetatlError(f"{path}: peft_type {str(kind)[:40]!r} is not read; LORA and IA3 are")
    if start.startswith(("pissa", "olora", "corda", "loftq", "eva")):
        raise MetatlError(
            f"{path}: init_lora_weights {start!r} may have changed the base's weights; convert it with peft "
            "(save_pretrained with path_initial_model_for_weight_conversion)"
        )
