"""Features that are kept in the user's cache: what is harmed, or is something else, is made anew."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from metatl.data import cache
from metatl.transferring.features import features, readable


def made(calls: list[int]) -> torch.Tensor:
    """The features of one photo; calls: how often it was read."""

    def picture(place: int) -> torch.Tensor:
        calls.append(place)
        return torch.arange(12.0).view(3, 2, 2)

    (row,) = features(nn.Identity, "key", ["digest"], readable(picture, torch.stack))
    assert row is not None
    return row


@pytest.mark.parametrize("harm", ["cut", "flipped", "other arrays", "other shape", "a pipe", "a folder"])
def test_harmed_features_are_made_anew(harm: str, cache_home: Path) -> None:
    calls: list[int] = []
    whole = made(calls)
    assert torch.equal(made(calls), whole)
    assert calls == [0], "they were kept"
    file = cache_home / "metatl" / "features" / "key" / "digest.npz"
    content = file.read_bytes()
    file.unlink()
    match harm:
        case "cut":
            file.write_bytes(content[: len(content) // 2])
        case "flipped":
            at = content.index(whole.numpy().tobytes())
            file.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        case "other arrays":
            cache.put_away("features/key/digest", {"x": whole.numpy()})
        case "other shape":
            cache.put_away("features/key/digest", {"features": np.zeros((2, 2), np.float32)})
        case "a pipe":
            os.mkfifo(file)
        case _:
            file.mkdir()
    assert torch.equal(made(calls), whole)
    assert calls == [0, 0]
    assert harm == "a folder" or file.read_bytes() == content
