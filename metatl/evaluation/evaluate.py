"""The one episodic evaluation: the same named episodes for every method, one score an episode."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from metatl import tree
from metatl.adapt import Adaptation, alike, check_finite, check_guide, moving_names, score, too_large
from metatl.adapt.carried import check_ways
from metatl.data.source import Data, Tasks
from metatl.engines.by_shape import parts_of
from metatl.engines.engine import Engine, task
from metatl.engines.loop import Loop
from metatl.evaluation import scores
from metatl.evaluation.drawn import Shapes
from metatl.evaluation.report import Report, counted
from metatl.evaluation.scores import Score
from metatl.net import Net
from metatl.objectives.predictive import Predictive
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
        score: one of `scores.SCORES`, of the query rows of every episode; the default is accuracy, or the
            mean squared error, or averaged precision of several labels.
        calibrated: whether reports also say how sure it is, and rightly so (`calibration`, `intervals`).
    """

    tasks: Tasks = Tasks()
    episodes: int = 600
    seed: int = 0
    select_episodes: int = 100
    chunk: int = 50
    score: str | None = None
    calibrated: bool = False

    def __post_init__(self) -> None:
        """Refuse fewer than two episodes, as an interval needs them, and a score that is not there."""
        if self.score is not None:
            scores.named(self.score)
        if self.episodes < 2 or self.select_episodes < 1 or self.chunk < 1:
            raise MetatlError("evaluation: episodes must be at least 2, select_episodes and chunk at least 1")


def check_adaptation(net: Net, transfer: Transfer, adaptation: Adaptation, data: Data, tasks: Tasks) -> None:
    """Raise MetatlError when an adaptation cannot serve the episodes, or a weight has no guide or value."""
    check_finite(transfer)
    check_ways(adaptation.carries, tasks)
    if adaptation.guided_by_transfer:
        check_guide(transfer)
    if adaptation.needs_labels and not data.labelled_support:
        few = "head Learned, with steps 0 or terms that read none (Entropy, MCC, PseudoLabels)"
        raise MetatlError(f"rows to adapt to have no labels in {data.name}; the adaptation needs {few}")
    adaptation.check(net.with_outputs(data.outputs(tasks)), transfer, data.kind != "classification")


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
    given the evaluation's seed as key. An episode whose predictions are not finite has diverged: it gets the
    worst value that its score can have (accuracy: 0), or NaN for none; where all have, all are NaN.
    Raises MetatlError when the split cannot serve such episodes, the output layer does not fit them, or the
    score has no meaning for their targets, or no value on one.
    """
    tasks, net = evaluation.tasks, net.with_outputs(data.outputs(evaluation.tasks))
    data.check(split, tasks)
    judged = scores.of_data(data, evaluation.score)
    if tasks.query < 1:
        raise MetatlError("evaluation.tasks.query is 0: a score needs at least one query example a class")
    check_adaptation(net, transfer, adaptation, data, tasks)
    total = evaluation.episodes if split == "meta_test" else evaluation.select_episodes
    runner = engine if adaptation.batched else Loop()
    moving = moving_names(transfer) if adaptation.guided_by_transfer else None
    fast = runner.ready(net)

    def one(episode: Episode) -> tuple[Any, torch.Tensor]:
        if judged.spread:
            told = adaptation.predictive(fast.for_task(episode), transfer, episode, evaluation.seed)
            return (told.mean, told.sure()), alike(told.mean)
        output = adaptation.answer(fast.for_task(episode), transfer, episode, evaluation.seed, moving)
        return output if evaluation.score else score(output, episode.query.y), alike(output)

    found, shapes, seconds = list[torch.Tensor](), Shapes(), 0.0
    with torch.no_grad():
        for first in range(0, total, evaluation.chunk):
            count = min(evaluation.chunk, total - first)
            drawn = data.draw(split, tasks, evaluation.seed, first, count)
            began = time.perf_counter()
            chunk = torch.empty(count, dtype=torch.float64)
            for runs, part, places in parts_of(runner, drawn):
                numbers = [first + place for place in places]
                shapes.add(part, len(places))
                chunk[list(places)] = _scored(evaluation, judged, runs.map(one, part), part, numbers)
            found.append(chunk)
            seconds += time.perf_counter() - began
            if progress is not None:
                progress(first + count, total)
        example = task(data.draw(split, tasks, evaluation.seed, 0, 1), 0)
        facts: dict[str, Any] = {
            "trainable": adaptation.trainable(net.for_task(example), transfer, example.support),
            "ms_per_task": 1000.0 * seconds / total,
            **shapes.facts(data, tasks),
        }
    protocol = _protocol(net, adaptation, data, evaluation, split, total, judged)
    values, facts["diverged"] = counted(torch.cat(found).numpy(), judged.worst)
    return Report(method, values, protocol, facts)


def _scored(
    evaluation: Evaluation, judged: Score, told: Any, some: Episode, numbers: list[int]
) -> torch.Tensor:
    """The score of every one of some episodes alike in shape [episodes], NaN where it diverged."""
    taken, same = told
    if evaluation.score:
        taken = _of_each(judged, taken, some.query.y, numbers)
    if bool(same.any()):
        swallowed = same & (too_large(some.support.x) | too_large(some.query.x))
        taken = torch.where(swallowed.to(taken.device), torch.nan, taken)
    return taken.to("cpu", torch.float64)


def _of_each(judged: Score, outputs: Any, y: Any, numbers: list[int]) -> torch.Tensor:
    """The score of every episode [episodes], NaN where an output is not finite."""
    values: list[float] = []
    for place, number in enumerate(numbers):
        output = task(outputs, place)
        values.append(judged(Predictive(*output) if judged.spread else output, task(y, place)))
        if math.isnan(values[-1]) and all(bool(leaf.isfinite().all()) for leaf in tree.leaves(output)):
            raise MetatlError(
                f"{judged.name} has no value for the query rows of episode {number} (of one class, or "
                "targets that do not vary); choose another score, or more query rows"
            )
    return torch.tensor(values, dtype=torch.float64)


def _protocol(
    net: Net,
    adaptation: Adaptation,
    data: Data,
    evaluation: Evaluation,
    split: Split,
    episodes: int,
    judged: Score,
) -> dict[str, Any]:
    tasks = evaluation.tasks
    return {
        "data": data.name,
        "split": split,
        **tasks.said(data.outputs(tasks)),
        "seed": evaluation.seed,
        "episodes": episodes,
        "episodes_hash": data.fingerprint(split, tasks, evaluation.seed, episodes),
        "score": judged.name,
        "moments": adaptation.moments if net.batch_moments else "none",
        "transductive": adaptation.transductive(net),
        "steps": adaptation.steps,
    }


def predictions(
    net: Net, transfer: Transfer, adaptation: Adaptation, episode: Episode
) -> tuple[torch.Tensor, torch.Tensor]:
    """Adapted outputs [n, outputs] for one episode's query rows, and their labels [n]."""
    with torch.no_grad():
        return adaptation.answer(net.for_task(episode), transfer, episode), episode.query.y


def to_device(transfer: Transfer, device: str | torch.device) -> Transfer:
    """The same transfer on a device."""
    return Transfer(*(tree.to(group, device) for group in transfer.groups()))
