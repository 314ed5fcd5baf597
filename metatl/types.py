"""The nouns that every room shares: named tensors, batches, episodes, transfers."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from torch import Tensor

from metatl.errors import MetatlError as MetatlError  # noqa: PLC0414 - says that it is public here

Params = dict[str, Tensor]
"""Weights by dotted name, as in `named_parameters()`."""
Guide = dict[str, Tensor]
"""One scale per weight for its update; same names as the weights, each entry broadcasts to its weight.
An entry with one axis more than its weight has a leading inner-step axis."""
Buffers = dict[str, Tensor]
"""What a module holds beside its weights, by dotted name (running moments of batch norms)."""
Groups = tuple[Params, Guide, Buffers, Params]
"""What a transfer consists of, in the order of its fields."""
Metrics = dict[str, Tensor]
"""0-d tensors, left on the device until a recorder reads them."""

Unroll = Literal["full", "first_order"]
"""How the inner loop is differentiated: through its gradients, or taking them as constants."""
Moments = Literal["batch", "support", "frozen"]
"""Which rows give batch norm its moments: all rows of the pass (transductive), the support rows, or none."""
Split = Literal["meta_train", "meta_val", "meta_test"]
Labels = Literal["own", "shared"]
"""What the numbers of a task's classes mean: something in this task alone, or the same in every one."""
"""Disjoint sets of classes (or subjects, or functions)."""


def check_rates(of: object, *names: str) -> None:
    """Raise MetatlError for the first of these fields that is negative, NaN or infinite; None is no rate."""
    for name in names:
        value = getattr(of, name, None)
        if value is not None and not 0 <= value < math.inf:
            raise MetatlError(f"{type(of).__name__}: {name} is {value}; give a finite number, 0 or more")


class Batch(NamedTuple):
    """Examples: x [n, ...], and y by its type.

    int64 [n] is a class index (with more axes [n, h, w] one a pixel, beside outputs [n, classes, h, w]), bool
    [n, k] several labels at once, float [n] or [n, d] real values.

    x and y may be mappings of such tensors (token ids and a mask, say; several targets), nested at will; y is
    None for rows without targets. weight [n], not negative, counts a row weight times: a row of weight 0 is
    a row left out, of weight k is k rows. None is no leaf of these trees.
    """

    x: Any
    y: Any = None
    weight: Tensor | None = None


class Episode(NamedTuple):
    """One task's support and query examples; a meta-batch has a leading task axis on every tensor.

    Rows are ordered round by round: example k of every class, then example k + 1 of every class, so that any
    contiguous slice whose length is a multiple of `way` is balanced over classes (where all give as many).

    classes: places in the split of the task's classes [way], whose number is that of the task's outputs; None
    where all tasks have as many outputs.
    """

    support: Batch
    query: Batch
    classes: Tensor | None = None


@dataclass(frozen=True)
class Ragged:
    """A meta-batch of tasks that differ in shape.

    parts: stacked episodes, those of a part alike; places: of each part's tasks in the meta-batch.
    """

    parts: tuple[Episode, ...]
    places: tuple[tuple[int, ...], ...]

    @property
    def count(self) -> int:
        """Number of tasks."""
        return sum(map(len, self.places))


def _nothing() -> dict[str, Tensor]:
    return {}


@dataclass(frozen=True)
class Transfer:
    """What is carried from old tasks to new ones: an initialisation, a guide, and the buffers.

    It is the whole interface between learning and using: every learner returns one, every evaluation and
    every personalisation starts from one, every checkpoint holds one.

    memory: what the inner rule and objective go on from in a new task, as `<role>.<weight>`: second moments,
        say (`rules.CarriedAdam`), `importance` (`learners.Importance`), and `mean`, `directions` and
        `variance` of displacements (`learners.Scout`); empty where tasks start anew.
    """

    params: Params
    guide: Guide = field(default_factory=_nothing)
    buffers: Buffers = field(default_factory=_nothing)
    memory: Params = field(default_factory=_nothing)

    def groups(self) -> Groups:
        """All tensors; Transfer(*groups) is the same again."""
        return self.params, self.guide, self.buffers, self.memory
