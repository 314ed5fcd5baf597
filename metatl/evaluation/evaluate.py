"""The one episodic evaluation: the same named episodes for every method, one score an episode."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from metatl import tree
from metatl.adapt import Adaptation, alike, check_finite, check_guide, moving_names, score, too_large
from metatl.data.source import Data, Tasks
from metatl.engines.engine import Engine, task
from metatl.engines.loop import Loop
from metatl.evaluation.statistics import estimate
from metatl.net import Net
from metatl.types import Episode, MetatlError, Split, Transfer

Progress = Callable[[int, int], None]
"""Called with episodes done and episodes in all."""


@dataclass(frozen=True)
class Evaluation:
    """Which episodes a method is evaluated on; every method with the same values sees the same episodes.

    Args:
        tasks: shape of the episodes.
        episodes: number of meta-test episodes.
        seed: of the episode stream.
        select_episodes: number of meta-val episodes on which rates are chosen.
        chunk: episodes drawn and adapted at once; bounds memory, changes no score.
    """

    tasks: Tasks = Tasks()
    episodes: int = 600
    seed: int = 0
    select_episodes: int = 100
    chunk: int = 50

    def __post_init__(self) -> None:
        """Refuse fewer than two episodes: an interval needs them."""
        if self.episodes < 2 or self.select_episodes < 1 or self.chunk < 1:
            raise MetatlError("evaluation: episodes must be at least 2, select_episodes and chunk at least 1")


@dataclass(frozen=True)
class Report:
    """What an evaluation found.

    scores: [episodes] float64, accuracy in [0, 1] (or mean squared error, lower is better), in episode order;
    protocol: how they were taken; facts: what they cost, and which episodes `diverged`: predictions that are
    not finite are wrong throughout, and have no squared error (NaN).
    """

    method: str
    scores: NDArray[np.float64]
    protocol: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Mean score; NaN where an episode has none."""
        return float(self.scores.mean())

    @property
    def ci95(self) -> float | None:
        """Half of the 95 % interval of the mean (Student's t over episodes); None where there is none."""
        return estimate(self.scores).ci95 if bool(np.isfinite(self.scores).all()) else None

    @property
    def diverged(self) -> list[int]:
        """The episodes whose predictions are not finite; none of a report of before these were counted."""
        return self.facts.get("diverged") or []


def check_adaptation(net: Net, transfer: Transfer, adaptation: Adaptation, data: Data, tasks: Tasks) -> None:
    """Raise MetatlError when an adaptation cannot serve the episodes, or the transfer is not whole.

    That is: a moving weight has no guide, or a tensor is not finite.
    """
    check_finite(transfer)
    if adaptation.guided_by_transfer:
        check_guide(transfer)
    adaptation.check(net.with_outputs(data.outputs(tasks)), transfer, data.kind == "regression")


def evaluate(
    net: Net,
    transfer: Transfer,
    adaptation: Adaptation,
    data: Data,
    evaluation: Evaluation,
    engine: Engine,
    *,
    method: str = "method",
    split: Split = "meta_test",
    progress: Progress | None = None,
) -> Report:
    """Adapt the transfer to every episode's support set and score its query set.

    Any adaptation: one that cannot run under vmap runs task by task, whatever the engine; all of them are
    given the evaluation's seed as key. An episode whose predictions are not finite has diverged: its accuracy
    is 0 and its squared error NaN; where all have, every score is NaN.

    Raises MetatlError when the split cannot serve such episodes or the output layer does not fit them.
    """
    tasks, net = evaluation.tasks, net.with_outputs(data.outputs(evaluation.tasks))
    data.check(split, tasks)
    if tasks.query < 1:
        raise MetatlError("evaluation.tasks.query is 0: a score needs at least one query example a class")
    check_adaptation(net, transfer, adaptation, data, tasks)
    total = evaluation.episodes if split == "meta_test" else evaluation.select_episodes
    runner = engine if adaptation.batched else Loop()
    moving = moving_names(transfer) if adaptation.guided_by_transfer else None
    fast = runner.ready(net)

    def one(episode: Episode) -> tuple[torch.Tensor, torch.Tensor]:
        output = adaptation.answer(fast, transfer, episode, evaluation.seed, moving)
        return score(output, episode.query.y), alike(output)

    found: list[torch.Tensor] = []
    seconds = 0.0
    with torch.no_grad():
        for first in range(0, total, evaluation.chunk):
            count = min(evaluation.chunk, total - first)
            drawn = data.draw(split, tasks, evaluation.seed, first, count)
            began = time.perf_counter()
            scores, same = runner.map(one, drawn)
            if bool(same.any()):
                swallowed = same & (too_large(drawn.support.x) | too_large(drawn.query.x))
                scores = torch.where(swallowed, torch.nan, scores)
            found.append(scores.to("cpu", torch.float64))
            seconds += time.perf_counter() - began
            if progress is not None:
                progress(first + count, total)
        example = task(data.draw(split, tasks, evaluation.seed, 0, 1), 0)
        facts: dict[str, Any] = {
            "trainable": adaptation.trainable(net, transfer, example.support),
            "ms_per_task": 1000.0 * seconds / total,
        }
    protocol = _protocol(net, adaptation, data, evaluation, split, total)
    scores, facts["diverged"] = counted(torch.cat(found).numpy(), data.kind == "regression")
    return Report(method, scores, protocol, facts)


def counted(scores: NDArray[np.float64], real: bool = False) -> tuple[NDArray[np.float64], list[int]]:
    """Scores [episodes] as they count, and the episodes that diverged: those whose score is not finite.

    Their accuracy counts as 0; a squared error (real) has no such number and stays NaN, and so does
    everything where all diverged.
    """
    lost = ~np.isfinite(scores)
    return np.where(lost, np.nan if real or lost.all() else 0.0, scores), np.flatnonzero(lost).tolist()


def _protocol(
    net: Net, adaptation: Adaptation, data: Data, evaluation: Evaluation, split: Split, episodes: int
) -> dict[str, Any]:
    tasks = evaluation.tasks
    return {
        "data": data.name,
        "split": split,
        "way": data.outputs(tasks),
        "shot": tasks.shot,
        "query": tasks.query,
        "seed": evaluation.seed,
        "episodes": episodes,
        "episodes_hash": data.fingerprint(split, tasks, evaluation.seed, episodes),
        "score": "accuracy" if data.kind == "classification" else "loss",
        "moments": adaptation.moments if net.batch_moments else "none",
        "transductive": adaptation.transductive(net),
        "steps": adaptation.steps,
    }


def predictions(
    net: Net, transfer: Transfer, adaptation: Adaptation, episode: Episode
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adapted outputs for one episode's query rows, and the query labels (pictures, calibration)."""
    with torch.no_grad():
        return adaptation.answer(net, transfer, episode), episode.query.y


def to_device(transfer: Transfer, device: str | torch.device) -> Transfer:
    """The same transfer on a device."""
    return Transfer(*(tree.to(group, device) for group in transfer.groups()))
