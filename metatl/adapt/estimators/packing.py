"""Several estimators' arrays in a few tensors, whose number does not depend on what was fitted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from metatl.types import MetatlError

_GROUPS = {
    "ints": (torch.int64, torch.bool, torch.int32, torch.uint8),
    "floats": (torch.float64, torch.float32),
}


def pack(kind: str, parts: Sequence[tuple[dict[str, Any], dict[str, Tensor]]]) -> dict[str, Tensor]:
    """`json` uint8 [bytes], `ints` int64 [i] and `floats` float64 [f], of frozen estimators."""
    said: list[Any] = []
    held: dict[str, list[Tensor]] = {name: [] for name in _GROUPS}
    for values, tensors in parts:
        shapes: dict[str, Any] = {}
        for name, tensor in tensors.items():
            group = next(group for group, kinds in _GROUPS.items() if tensor.dtype in kinds)
            shapes[name] = [group, str(tensor.dtype).removeprefix("torch."), list(tensor.shape)]
            held[group].append(tensor.reshape(-1).to(_GROUPS[group][0]))
        said.append({"values": values, "shapes": shapes})
    text = json.dumps({"kind": kind, "parts": said}).encode()
    joined = {
        name: torch.cat(some) if some else torch.zeros(0, dtype=_GROUPS[name][0])
        for name, some in held.items()
    }
    return {"json": torch.frombuffer(bytearray(text), dtype=torch.uint8), **joined}


def unpack(packed: Mapping[str, Tensor]) -> tuple[str, list[tuple[dict[str, Any], dict[str, Tensor]]]]:
    """The inverse of `pack`, tensors in their shapes, such as [nodes]; MetatlError where it is none."""
    try:
        told = json.loads(bytes(packed["json"].cpu().numpy().tobytes()))
        at = dict.fromkeys(_GROUPS, 0)
        parts: list[tuple[dict[str, Any], dict[str, Tensor]]] = []
        for part in told["parts"]:
            tensors: dict[str, Tensor] = {}
            for name, (group, dtype, shape) in part["shapes"].items():
                kind = next(kind for kind in _GROUPS[group] if str(kind) == f"torch.{dtype}")
                size = math.prod(shape)
                piece = packed[group].cpu()[at[group] : at[group] + size]
                tensors[name] = piece.reshape(shape).to(kind)
                at[group] += size
            parts.append((part["values"], tensors))
        return str(told["kind"]), parts
    except (KeyError, TypeError, ValueError, RuntimeError, StopIteration) as error:
        raise MetatlError(f"a saved estimator is damaged ({error}); get the model again") from error
