"""A pre-trained net as a body that gives features, with what a row goes through before it."""

from __future__ import annotations

import copy
import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from metatl.data.prepared_signals import WindowPreparation
from metatl.pretrained import Pretrained, TextPreparation, name_vectors, pretrained, rebuild
from metatl.types import Guide, MetatlError, Params

SMALL, CONVOLVED = (10.0, 20.0), (10.0, 10.0)
"""By which rates, and the rows that are seen, are multiplied for nets of some thousand weights; a row costs
more where they are shared along a signal."""
MADE = 3
"""How features are made; another number where that changes, so that kept ones are not taken for new ones."""


@dataclass(frozen=True)
class Backbone:
    """A pre-trained net and what a row goes through before it.

    module: the net with its own output layer, in eval mode; head: that layer's dotted name; preparation:
    a row -> its input, None where there is no net and columns are taken as they are; key: digest of weights
    and preparation, by which features are kept; facts: for reports; guide: how far each weight's updates
    count, memory: what else of each weight, where that was learned (as in `Transfer`); taught: what the
    output layer's rows mean, where they mean this problem's targets; rate, seen: by which the rates of ways,
    and the rows that they see, are multiplied (they are set for nets of some million weights).
    """

    module: nn.Module
    head: str
    preparation: Any
    recipe: Any
    key: str
    facts: dict[str, Any]
    guide: Guide | None = None
    memory: Params = field(default_factory=dict[str, Tensor])
    taught: tuple[str, ...] = ()
    rate: float = 1.0
    seen: float = 1.0

    @property
    def moves(self) -> bool:
        """Whether there is a body that can move."""
        return self.preparation is not None

    def body(self) -> nn.Module:
        """A copy whose output layer is the identity: prepared rows [n, ...] -> features [n, d]."""
        return headless(copy.deepcopy(self.module), self.head)

    @property
    def reads_texts(self) -> bool:
        """Whether names of classes mean something to it."""
        return isinstance(self.preparation, TextPreparation)

    def name_vectors(self, names: Sequence[str]) -> Tensor:
        """Unit vectors [names, d] of the names of classes; MetatlError for a net that reads no texts."""
        net = str(self.facts["net"])
        made = Pretrained(net, self.module, self.head, self.preparation, "", "", "", self.recipe)
        return name_vectors(made, names)

    def example(self) -> Any:
        """A prepared row of nothing: a pass over it tells layers by use."""
        return self.preparation.example()

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
    return bare() if recipe.get("kind") == "bare" else rebuild(recipe, own).eval()


def bare() -> nn.Module:
    """A net that is an output layer alone."""
    return nn.Sequential(OrderedDict(head=nn.Linear(1, 1)))


def no_net() -> Backbone:
    """Nothing that was learned before: columns go to the output layer as they are."""
    facts = {"net": "no net", "weights": "nothing was learned before", "weights_sha256": "", "input": ""}
    return Backbone(bare(), "head", None, {"kind": "bare"}, "no net", {**facts, "preparation": None})


def backbone(name: str | Path, size: int | None = None) -> Backbone:
    """A pre-trained net by name, or by run directory.

    Raises MetatlError for one that is not known, or not to be had here.
    """
    found = pretrained(str(name), size)
    if not found.head:  # none, or the whole net is one
        raise MetatlError(f"{name} has no linear output layer to replace; choose another net")
    preparation = {key: _plain(value) for key, value in asdict(found.preparation).items()}
    shown = found.preparation.values()[0]
    said = json.dumps([MADE, found.weights_sha256, preparation, found.recipe], sort_keys=True, default=str)
    key = hashlib.sha256(said.encode()).hexdigest()[:24]
    facts = {
        "net": found.name,
        "weights": found.report,
        "weights_sha256": found.weights_sha256,
        "preparation": shown,
        "input": found.preparation.told,
    }
    rate, seen = CONVOLVED if isinstance(found.preparation, WindowPreparation) else (1.0, 1.0)
    made = found.module.eval(), found.head, found.preparation, found.recipe
    return Backbone(*made, key, facts, rate=rate, seen=seen)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple | list) else value
