"""Vectors of texts, and of classes by their names: what a net for texts knows without any label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metatl.language.preparation import TextPreparation
from metatl.pretrained.pretrained import Pretrained
from metatl.types import MetatlError

BATCH = 64
"""Texts of one pass."""


def name_vectors(made: Pretrained, names: Sequence[str]) -> Tensor:
    """Unit vectors [classes, d] of classes' names, or of descriptions: weights of a `heads.FromNames`.

    An underscore in a name is read as a space. Raises MetatlError for a net that reads no texts.
    """
    return F.normalize(embedded(made, [name.replace("_", " ") for name in names]), dim=-1)


def embedded(made: Pretrained, texts: Sequence[str]) -> Tensor:
    """What the output layer of a net for texts sees of each, [n, d], outside every graph.

    Texts of like lengths are passed together, so that little of a pass is padding. Raises MetatlError for a
    net that reads no texts, and for a text without a token.
    """
    if not isinstance(made.preparation, TextPreparation) or made.head is None:
        raise MetatlError(
            f"{made.name} reads no texts, so that names have no vectors; choose a net for texts"
        )
    rows = [made.preparation(text) for text in texts]
    order = sorted(range(len(rows)), key=lambda at: len(rows[at]["ids"]))
    seen: list[Tensor] = []
    layer = made.module.get_submodule(made.head)
    hook = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        with torch.no_grad():
            for first in range(0, len(order), BATCH):
                made.module(**made.preparation.stacked([rows[at] for at in order[first : first + BATCH]]))
    finally:
        hook.remove()
    found = torch.cat(seen) if seen else torch.zeros(0, _width(layer))
    return found[torch.tensor(order, dtype=torch.int64).argsort()]


def _width(layer: nn.Module) -> int:
    return layer.in_features if isinstance(layer, nn.Linear) else 0
