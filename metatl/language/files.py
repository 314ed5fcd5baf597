"""Files of a net's folder, read as data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from metatl.opening import reading
from metatl.types import MetatlError

_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_MOST_BYTES = 1 << 28
"""Of a file of JSON; tokenizers have tens of megabytes."""


def weights_of(folder: Path) -> list[Path]:
    """The files of weights in a folder: one, or the parts that an index names. MetatlError without any."""
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            placed = json_of(index).get("weight_map")
            parts = sorted({str(part) for part in dict(placed or {}).values()})
            if parts and all(Path(part).name == part for part in parts):
                return [folder / part for part in parts]
            raise MetatlError(f"{index} names no weights files beside it; the folder is damaged")
    raise MetatlError(
        f"{folder} holds no weights ({' or '.join(_WEIGHTS)}); save the net with save_pretrained"
    )


def json_of(file: Path, absent: str = "") -> Mapping[str, Any]:
    """The values by name of a JSON file; MetatlError where it is not there (`absent`) or holds none."""
    if not file.is_file():
        raise MetatlError(absent or f"{file} is not there; the folder is not whole")
    found = value_of(file)
    if not isinstance(found, dict):
        raise MetatlError(f"{file} is damaged: it holds no values by name")
    return cast(Mapping[str, Any], found)


def value_of(file: Path) -> Any:
    """What a JSON file holds; raises MetatlError for a damaged one."""
    try:
        return json.loads(text_of(file))
    except (ValueError, RecursionError) as error:
        raise MetatlError(f"{file} is damaged: it is no JSON") from error


def text_of(file: Path) -> str:
    """A file's text; raises MetatlError for one that cannot be read, or is far too long."""
    try:
        with reading(file) as opened:
            content = opened.read(_MOST_BYTES + 1)
    except OSError as error:
        raise MetatlError(f"{file}: cannot be read ({error.strerror or error})") from error
    if len(content) > _MOST_BYTES:
        raise MetatlError(f"{file} is longer than {_MOST_BYTES >> 20} MiB; it is no part of a net")
    return content.decode("utf-8", "replace")
