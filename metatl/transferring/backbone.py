"""A pre-trained net as a body that gives features, and the features of photos, computed once and kept."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metatl.data.cache import Arrays, look_up, put_away
from metatl.norm import Rows, moments_from
from metatl.pretrained import Preparation, pretrained, rebuild
from metatl.types import Guide, MetatlError

BATCH = 32
"""Photos of one forward pass."""
MADE = 2
"""How features are made; another number where that changes, so that kept ones are not taken for new ones."""


@dataclass(frozen=True)
class Backbone:
    """A pre-trained net and what a photo goes through before it.

    module: the net with its own output layer, in eval mode; head: that layer's dotted name; preparation:
    picture -> [c, h, w]; key: digest of weights and preparation, by which features are kept;
    facts: for reports; guide: how far each weight's updates count, where that was learned.
    """

    module: nn.Module
    head: str
    preparation: Preparation
    recipe: Any
    key: str
    facts: dict[str, Any]
    guide: Guide | None = None

    def body(self) -> nn.Module:
        """A copy whose output layer is the identity: photos [n, c, h, w] -> features [n, d]."""
        return headless(copy.deepcopy(self.module), self.head)

    def example(self) -> Tensor:
        """A prepared photo of nothing, [1, c, h, w]: a pass over it tells layers by use."""
        side = self.preparation.size
        return torch.zeros(1, self.preparation.channels, side, side)

    def random(self) -> nn.Module:
        """The same architecture with random weights, the same ones every time."""
        return rebuilt(self.recipe, self.recipe.get("name"))  # which the user has named


def headless(module: nn.Module, head: str) -> nn.Module:
    """The module itself, in eval mode, with an identity in place of its output layer."""
    parent, _, name = head.rpartition(".")
    setattr(module.get_submodule(parent), name, nn.Identity())
    return module.eval()


def rebuilt(recipe: Any, own: str | None = None) -> nn.Module:
    """The architecture that a recipe describes, in eval mode; raises MetatlError for one that is not known.

    own: the user's own class that may be called, by dotted path.
    """
    return rebuild(recipe, own).eval()


def backbone(name: str | Path, size: int | None = None) -> Backbone:
    """A pre-trained net by name, or by run directory.

    Raises MetatlError for one that is not known, or not to be had here.
    """
    found = pretrained(str(name), size)
    if not found.head:  # none, or the whole net is one
        raise MetatlError(f"{name} has no linear output layer to replace; choose another net")
    preparation = {key: _plain(value) for key, value in asdict(found.preparation).items()}
    said = json.dumps([MADE, found.weights_sha256, preparation, found.recipe], sort_keys=True, default=str)
    key = hashlib.sha256(said.encode()).hexdigest()[:24]
    facts = {
        "net": found.name,
        "weights": found.report,
        "weights_sha256": found.weights_sha256,
        "preparation": preparation,
    }
    return Backbone(found.module.eval(), found.head, found.preparation, found.recipe, key, facts)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value


def forward(body: nn.Module, x: Tensor) -> Tensor:
    """Features [n, d] of prepared photos [n, c, h, w], in batches, outside every graph.

    Batch norms use their running moments, so that no photo's features depend on the others.
    """
    with torch.no_grad(), moments_from(Rows(frozen=True)):
        parts = [body(x[i : i + BATCH]).flatten(1) for i in range(0, len(x), BATCH)]
    return torch.cat(parts).contiguous()


def _kept(arrays: Arrays | None) -> Tensor | None:
    """The features [d] among what was kept; None for whatever else lies under their name."""
    row = None if arrays is None else arrays.get("features")
    return None if row is None or row.ndim != 1 or row.dtype != np.float32 else torch.from_numpy(row.copy())


def features(
    body: nn.Module,
    key: str,
    digests: Sequence[str],
    picture: Callable[[int], Tensor | None],
    tick: Callable[[int, int], None] = lambda done, total: None,
) -> list[Tensor | None]:
    """The features [d] of photos with these content digests; None for those that cannot be read.

    They are kept in the user's cache by content of the photo, weights of the net and preparation, and shared
    by all rows, draws and later commands. picture: place -> prepared photo.
    """
    found = [_kept(look_up(f"features/{key}/{digest}")) for digest in digests]
    missing = [i for i, held in enumerate(found) if held is None]
    for first in range(0, len(missing), BATCH):
        tick(first, len(missing))
        read = [(i, picture(i)) for i in missing[first : first + BATCH]]
        whole = [(i, x) for i, x in read if x is not None]
        if not whole:
            continue
        given = forward(body, torch.stack([x for _, x in whole]))
        for (i, _), row in zip(whole, given, strict=True):
            found[i] = row.clone()
            put_away(f"features/{key}/{digests[i]}", {"features": row.numpy()})
    return found
