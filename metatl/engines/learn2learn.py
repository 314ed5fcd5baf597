"""learn2learn's own inner loop: the optional peer, imported here alone."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

from metatl.types import MetatlError

_DECLARED: list[torch.library.Library] = []
"""Operator declarations live as long as the object that made them."""


def import_learn2learn() -> Any:
    """The module learn2learn, also beside a torch without CUDA.

    learn2learn imports torchvision, whose published wheel is a CUDA build: beside a CPU build of torch its
    compiled operators do not load, and the import fails for want of two declarations, which are made here.
    What learn2learn uses of torchvision needs no compiled operator.

    Raises MetatlError when learn2learn or something that it imports is not installed.
    """
    try:
        _import_torchvision()
        return importlib.import_module("learn2learn")
    except ImportError as error:
        raise MetatlError(
            f"learn2learn cannot be imported ({error}); install it with: sh scripts/install_peers.sh"
        ) from error


def _import_torchvision() -> None:
    try:
        importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED.append(library)
        importlib.import_module("torchvision")
