"""Weights files: mappings of named tensors, read without running anything that they hold."""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor

from metatl.opening import check_regular, reading
from metatl.types import MetatlError

ENDINGS = (".pt", ".pth", ".th", ".bin", ".ckpt", ".tar", ".safetensors")
_DEEPEST = 3
_SEP = "::"
_GROUPS = ("params::", "buffers::", "body::")
"""Of weights and moments in what `lab.store` writes: of a run, of a saved model."""


def sha256(path: Path) -> str:
    """The checksum of a file, in hexadecimal digits."""
    with reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def held(path: Path) -> dict[str, dict[str, Tensor]]:
    """Every mapping of named tensors in a file, by its place there (`state_dict`, `model.ema`; "": the top).

    Of a file that a run or a saved model of metatl holds these are its weights and moments, not its guides or
    an optimiser's. Wrappers, beside whatever else they hold (epochs), are opened; states of optimisers, whose
    averages may have the weights' own names and shapes, are not. torch files load with weights_only=True.
    Raises MetatlError for a file that is not there, holds no tensors, or is damaged.
    """
    if not path.exists() or path.is_dir():
        raise MetatlError(f"the weights file {path} is not there")
    check_regular(path)
    if path.suffix not in ENDINGS:
        raise MetatlError(f"{path}: a weights file ends in one of {', '.join(ENDINGS)}")
    found = {place: _weights_alone(tensors) for place, tensors in _mappings(_content(path), "", 0)}
    if not found:
        raise MetatlError(
            f"{path} holds no named tensors; save a net's state_dict: torch.save(net.state_dict(), file)"
        )
    return found


def _content(path: Path) -> Any:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings(action="ignore"):  # of a pickle protocol 213, say: it is damaged
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise MetatlError(
            f"{path} holds more than tensors and plain values (a whole module, say), which is not loaded; "
            "save its state_dict instead"
        ) from error
    except Exception as error:  # whatever comes of reading what is none, or cut short
        said = next(iter(str(error).splitlines()), type(error).__name__)
        raise MetatlError(
            f"{path} is no weights file, or it is damaged or cut short ({said[:200]}); get it again, or save "
            "it with torch.save(net.state_dict(), file)"
        ) from error


def _weights_alone(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Of names `GROUP::NAME`, as `lab.store` writes them, weights and moments by NAME; all of other files."""
    grouped = {name: leaf for name, leaf in tensors.items() if name.startswith(_GROUPS)}
    if not grouped or not all(_SEP in name for name in tensors):
        return tensors
    return {name.split(_SEP, 1)[1]: leaf for name, leaf in grouped.items()}


def _mappings(content: Any, place: str, depth: int) -> Iterator[tuple[str, dict[str, Tensor]]]:
    if not isinstance(content, Mapping) or depth > _DEEPEST:
        return
    content = cast(Mapping[Any, Any], content)
    tensors = {
        key: leaf for key, leaf in content.items() if isinstance(key, str) and isinstance(leaf, Tensor)
    }
    if tensors:
        yield place, tensors
    for key, inner in content.items():
        if isinstance(key, str) and not key.lower().startswith("optim"):
            yield from _mappings(inner, f"{place}.{key}" if place else key, depth + 1)
