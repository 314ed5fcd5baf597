"""Photos to time with, and a cache of their own."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from metatl.lab import store


def photos_of_noise(folder: Path, counts: Sequence[int]) -> Path:
    """Smooth noise as JPEG files of two classes: as many bytes to decode as photos have."""
    rng = np.random.default_rng(0)
    for part, count in zip(("train", "val"), counts, strict=True):
        for i in range(count):
            place = folder / part / "ab"[i % 2] / f"{i:03d}.jpg"
            store.make_folder(place.parent)
            small = Image.fromarray(rng.integers(0, 256, (94, 125, 3), np.uint8))
            content = io.BytesIO()
            small.resize((500, 375), Image.Resampling.BICUBIC).save(content, "JPEG", quality=90)
            store.write_atomic(place, content.getvalue())
    return folder


@contextlib.contextmanager
def users_cache(folder: Path) -> Generator[None]:
    """With the user's cache there."""
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(folder)
    try:
        yield
    finally:
        del os.environ["XDG_CACHE_HOME"]
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before
