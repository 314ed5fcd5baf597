"""Data of a run, read once."""

from __future__ import annotations

import functools

from metatl import processes
from metatl.data.source import Data, Source
from metatl.lab import config, store


def load_data(source: Source, device: str) -> Data:
    """The data, read once for as long as nothing changes in the files and folders that its fields name."""
    words = store.strings(config.describe(source))
    named = [path for path in map(store.path_of, words) if path is not None]
    with processes.one_first():
        return _loaded(source, device, tuple(map(store.stamp, named)))


@functools.lru_cache(maxsize=4)
def _loaded(source: Source, device: str, stamps: tuple[tuple[int, int, int], ...]) -> Data:
    return source.load(device)
