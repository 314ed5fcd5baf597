"""Tiny drawn photos: squares whose colour says the class, on noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from metatl.data.photos import PhotoFiles
from metatl.transferring.backbone import Backbone
from metatl.transferring.fit import Model
from metatl.transferring.judging import Scale
from metatl.transferring.model import SavedModel, saved_model

OTHERS = {"cyan": (40, 210, 210), "pink": (230, 120, 190), "yellow": (220, 220, 40)}
COLOURS = {"blue": (40, 40, 230), "green": (40, 230, 40), "red": (230, 40, 40)}
PARTS = {"train": 6, "val": 5}


def drawn(
    folder: Path,
    parts: dict[str, int] | None = None,
    classes: int = 2,
    size: int = 20,
    colours: dict[str, tuple[int, int, int]] = COLOURS,
) -> Path:
    """A folder of photos; parts: number of photos of each class, "" for no part. Returns the folder."""
    rng = np.random.default_rng(len(str(parts)))
    for part, count in (PARTS if parts is None else parts).items():
        for name, colour in list(colours.items())[:classes]:
            place = folder / part / name
            place.mkdir(parents=True, exist_ok=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (size, size, 3))
                top, left = rng.integers(0, size // 2, 2)
                pixels[top : top + size // 2, left : left + size // 2] = colour
                Image.fromarray(pixels.astype(np.uint8)).save(place / f"{i:02d}.png")
    return folder


def photo_model(net: Backbone, fitted: Model, names: tuple[str, ...], made: dict[str, Any]) -> SavedModel:
    """A fitted row that names classes of photos."""
    plain = Scale.of(torch.zeros(1, dtype=torch.int64))
    return saved_model(net, fitted, plain, ("classes", names, PhotoFiles()), made)
