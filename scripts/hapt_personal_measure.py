"""How hapt_personal.py measures: outputs for the test people, accuracy and calibration by person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.adapt import Descent, moving_names, predict
from metatl.data import GroupData
from metatl.evaluation.evaluate import Report, evaluate
from metatl.lab.run import Run, learn
from metatl.types import Episode

BINS = 15


@dataclass(frozen=True)
class Found:
    """A method at one amount of data: its report, the person of every episode, calibration by person."""

    report: Report
    people: NDArray[np.int64]
    calibration: dict[str, list[float]]

    def by_person(self) -> dict[int, float]:
        """Mean accuracy over each person's draws."""
        who, scores = sorted({*self.people.tolist()}), self.report.scores
        return {person: float(scores[self.people == person].mean()) for person in who}


def protocol(run: Run) -> tuple[dict[str, Any], int]:
    """How meta_test is scored, and how many weights a person moves, as `evaluate` tells them."""
    adaptation, evaluation = run.experiment.adaptation, run.experiment.evaluation
    quick = replace(evaluation, select_episodes=1)
    told = evaluate(run.net, learn(run)[0], adaptation, run.data, quick, run.engine, split="meta_train")
    seen = (evaluation.tasks, evaluation.seed, evaluation.episodes)
    said = {"split": "meta_test", "episodes": evaluation.episodes}
    said |= {"episodes_hash": run.data.fingerprint("meta_test", *seen)}
    return {**told.protocol, **said}, told.facts["trainable"]


def people(run: Run, count: int) -> NDArray[np.int64]:
    evaluation, data = run.experiment.evaluation, run.data
    assert isinstance(data, GroupData)
    found = [data.group("meta_test", i, evaluation.seed, evaluation.tasks) for i in range(count)]
    return np.array([int(person) for person in found])


def outputs(run: Run, adaptation: Descent, at: Sequence[int]) -> tuple[dict[int, Tensor], Tensor]:
    """Outputs [episodes, rows, activities] after the steps `at`, and labels, of the meta_test episodes."""
    transfer, _ = learn(run)
    evaluation, engine = run.experiment.evaluation, run.experiment.engine
    net, moving = engine.ready(run.net), moving_names(transfer)

    def one(episode: Episode) -> dict[int, Tensor]:
        points = adaptation.trajectory(net, transfer, episode.support, "first_order", moving)
        return {
            step: predict(net, point.params, transfer, episode, adaptation.moments)
            for step, point in enumerate(points)
            if step in at
        }

    with torch.no_grad():
        episodes = run.data.draw("meta_test", evaluation.tasks, evaluation.seed, 0, evaluation.episodes)
        return engine.map(one, episodes), episodes.query.y


def by_person(logits: Tensor, y: Tensor, who: NDArray[np.int64]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {"accuracy": [], "ece": [], "nll": []}
    for person in sorted({*who.tolist()}):
        own = torch.from_numpy(who == person)
        log_p, labels = logits[own].double().log_softmax(-1).flatten(0, 1), y[own].flatten()
        right = (log_p.argmax(-1) == labels) & log_p.isfinite().all(-1)  # what diverged names nothing
        values["accuracy"].append(float(right.double().mean()))
        values["ece"].append(calibration_error(log_p.exp(), labels))
        values["nll"].append(float(-log_p.gather(1, labels[:, None]).mean()))
    return values


def calibration_error(p: Tensor, y: Tensor) -> float:
    """sum over 15 equal bins of confidence: share of rows * |accuracy - confidence| (Guo et al. 2017)."""
    confidence, pick = p.max(-1)
    gap = (pick == y).double() - confidence
    sums = torch.zeros(BINS, dtype=torch.float64)
    sums.index_add_(0, (confidence * BINS).long().clamp(max=BINS - 1), gap)
    return float(sums.abs().sum() / len(y))
