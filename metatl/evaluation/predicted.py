"""What a method says of single query rows, on the first of the episodes that it is evaluated on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.adapt import Adaptation, moving_names
from metatl.data.source import Data
from metatl.engines.by_shape import parts_of
from metatl.engines.engine import Engine
from metatl.engines.loop import Loop
from metatl.evaluation.evaluate import Evaluation
from metatl.net import Net
from metatl.types import Episode, Split, Transfer

_SHARE = 20
"""One in so many episodes, so that it costs a twentieth of the evaluation."""


@dataclass(frozen=True)
class Predicted:
    """Query rows of the first `episodes` episodes, in order; rows whose outputs are not finite are left out.

    episode, row: [n] the number of its episode, and its place among that one's query rows; named: [n] the
    class of the largest output; probability: [n] its softmax; true: [n] the row's own class.
    """

    episodes: int
    episode: NDArray[np.int64]
    row: NDArray[np.int64]
    named: NDArray[np.int64]
    probability: NDArray[np.float64]
    true: NDArray[np.int64]


def predicted(
    net: Net,
    transfer: Transfer,
    adaptation: Adaptation,
    data: Data,
    evaluation: Evaluation,
    engine: Engine,
    split: Split = "meta_test",
) -> Predicted | None:
    """The first twentieth of the split's episodes, one at least; None unless every row has one of k classes.

    The episodes, keys and engine are those of `evaluate`, which must have gone through before.
    """
    count = -(-evaluation.episodes // _SHARE)
    found = outputs_of(net, transfer, adaptation, data, evaluation, engine, split, count)
    if found is None:
        return None
    parts = [_told(output, y) for output, y in found]
    episode = np.repeat(np.arange(count), [len(part[0]) for part in parts])
    return Predicted(count, episode, *(torch.cat(rows).numpy() for rows in zip(*parts, strict=True)))


def outputs_of(
    net: Net,
    transfer: Transfer,
    adaptation: Adaptation,
    data: Data,
    evaluation: Evaluation,
    engine: Engine,
    split: Split,
    count: int,
) -> list[tuple[Tensor, Tensor]] | None:
    """Outputs [n, classes], float64, and labels [n] of the query rows of the first `count` episodes.

    None unless every row has one of k classes.
    """
    net = net.with_outputs(data.outputs(evaluation.tasks))
    runner = engine if adaptation.batched else Loop()
    moving = moving_names(transfer) if adaptation.guided_by_transfer else None
    fast = runner.ready(net)

    def one(episode: Episode) -> Tensor:
        return adaptation.answer(fast.for_task(episode), transfer, episode, evaluation.seed, moving)

    found: dict[int, tuple[Tensor, Tensor]] = {}
    for output, y, numbers in answers(one, runner, data, evaluation, split, count):
        if not _one_class_a_row(output, y):
            return None
        found |= zip(numbers, zip(output.cpu().double(), y.cpu(), strict=True), strict=True)
    return [found[number] for number in sorted(found)]


def answers(
    one: Callable[[Episode], Any],
    runner: Engine,
    data: Data,
    evaluation: Evaluation,
    split: Split,
    count: int,
) -> Iterator[tuple[Any, Tensor, list[int]]]:
    """What `one` says of the first `count` episodes, several at once: answers, y [n], their numbers."""
    for first in range(0, count, evaluation.chunk):
        some = min(evaluation.chunk, count - first)
        drawn = data.draw(split, evaluation.tasks, evaluation.seed, first, some)
        for runs, part, places in parts_of(runner, drawn):
            with torch.no_grad():
                output = runs.map(one, part)
            yield output, part.query.y, [first + place for place in places]


def surest(wrong: NDArray[np.bool_], probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places of what was named wrongly, the highest probability first; equal ones in their order."""
    places = np.flatnonzero(wrong)
    return places[np.argsort(-probability[places], kind="stable")]


def _told(output: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """An episode's rows: place, class, probability, true class; not those whose outputs are not finite."""
    held = output.isfinite().all(-1)
    probability, named = output[held].softmax(-1).max(-1)
    return held.nonzero()[:, 0], named, probability, y[held]


def _one_class_a_row(output: object, y: object) -> bool:
    """Whether outputs are [tasks, rows, classes] beside class labels [tasks, rows]."""
    if not isinstance(output, Tensor) or not isinstance(y, Tensor):
        return False
    return output.dim() == 3 and y.dim() == 2 and y.dtype == torch.int64
