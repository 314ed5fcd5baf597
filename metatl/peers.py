"""Importing the optional peers, also where their own requirements do not fit together."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

from metatl.types import MetatlError

_INSTALL = "install it with: sh scripts/install_peers.sh (or: pip install 'metatl[peers]')"
_DECLARED: list[torch.library.Library] = []
"""Operator declarations live as long as the object that made them."""


def imported(name: str) -> Any:
    """The module `name`, which is a peer, or one's own that imports a peer.

    learn2learn imports torchvision, whose published wheel is a CUDA build: beside a CPU build of torch its
    compiled operators do not load, and the import fails for want of two declarations. They are made here, and
    only then; what learn2learn uses of torchvision needs no compiled operator.

    Raises ImportError as the import does.
    """
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
    for loaded in [loaded for loaded in sys.modules if loaded.partition(".")[0] == "torchvision"]:
        del sys.modules[loaded]
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms", "qnms"):
        library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _DECLARED.append(library)
    return importlib.import_module(name)


def peer(name: str) -> Any:
    """The peer `name`; raises MetatlError with how to install it when it, or what it imports, is missing."""
    try:
        return imported(name)
    except ImportError as error:
        raise MetatlError(f"{name} cannot be imported ({error}); {_INSTALL}") from error
