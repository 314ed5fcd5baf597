"""Nets whose weights come with this package, each with a card that says what it was trained on."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from torch import Tensor

from metatl.opening import reading
from metatl.text import near
from metatl.types import MetatlError

FOLDER = Path(__file__).parent / "shipped_nets"


@cache
def shipped(name: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The card and the named tensors of a net that comes with the package; MetatlError for another name."""
    from metatl.weights.files import held  # brings what reads weights

    card = FOLDER / f"{name}.json"
    if not card.is_file():
        known = sorted(path.stem for path in FOLDER.glob("*.json"))
        raise MetatlError(f"{name!r} is no net that comes with the package{near(name, known)}")
    with reading(card) as file:
        told = json.load(file)
    return told, held(FOLDER / f"{name}.safetensors")[""]
