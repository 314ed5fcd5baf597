"""How far intervals of real values are to be trusted, as they are and scaled on meta-val."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from metatl.adapt import Adaptation
from metatl.adapt.scores import SCORES
from metatl.data.source import Data
from metatl.engines.engine import Engine
from metatl.engines.loop import Loop
from metatl.evaluation.evaluate import Evaluation
from metatl.evaluation.predicted import answers
from metatl.net import Net
from metatl.objectives.predictive import Predictive
from metatl.types import Episode, MetatlError, Split, Transfer

Rows = Sequence[tuple[Tensor, Tensor, Tensor]]
"""Means, variances and targets [n, outputs] of every episode's query rows, float64."""
NAMES = {"nll": "NLL", "coverage": "coverage", "interval_score": "interval score"}


def intervals(
    net: Net,
    transfer: Transfer,
    adaptation: Adaptation,
    data: Data,
    evaluation: Evaluation,
    engine: Engine,
    tuned_on: Data | None = None,
) -> dict[str, Any]:
    """NLL, coverage and interval score of the meta-test episodes, each as it is and with variances scaled.

    `nll`: nats a value; `coverage`: share of the targets in their 95 % intervals; `interval_score`: as
    `formulas.interval_score`; `scale`: the factor s of all variances with the least NLL on `select_episodes`
    of meta-val (of `tuned_on`, the same data for None), s = mean((y - mean)^2 / variance). Episodes that are
    not finite are left out, and counted (`diverged`). Raises MetatlError where the adaptation says no
    spread, or all episodes diverged.
    """
    asked: tuple[tuple[Split, int], ...] = (
        ("meta_val", evaluation.select_episodes),
        ("meta_test", evaluation.episodes),
    )
    held: list[Rows] = []
    for (split, count), rows in zip(asked, (tuned_on or data, data), strict=True):
        found = _told(net, transfer, adaptation, rows, evaluation, engine, split, count)
        held.append([part for part in found if all(bool(leaf.isfinite().all()) for leaf in part)])
    if not all(held):
        raise MetatlError("evaluation: no episode has finite outputs, so that nothing can be calibrated")
    scale = scale_of(held[0])
    plain, scaled = (_scores(held[1], one) for one in (1.0, scale))
    return {
        "scale": scale,
        **{name: [plain[name], scaled[name]] for name in plain},
        "rows": sum(len(y) for *_, y in held[1]),
        "diverged": evaluation.episodes - len(held[1]),
    }


def check_sure(adaptation: Adaptation, data: Data) -> None:
    """Raise MetatlError where there is nothing to calibrate: several labels, real values without a spread."""
    if data.kind == "multilabel":
        raise MetatlError(
            f"evaluation.calibrated is of classes or real values, and {data.name} has several labels"
        )
    if data.kind == "regression" and not adaptation.spreads:
        raise MetatlError(
            f"evaluation.calibrated is of intervals here, and {type(adaptation).__name__} says none; put "
            "Laplace around it, or leave calibrated out"
        )


def scale_of(rows: Rows) -> float:
    """The s with the least NLL of N(mean, s variance)."""
    mean, variance, y = (torch.cat(parts) for parts in zip(*rows, strict=True))
    return float(((y - mean).square() / variance).mean().clamp_min(1e-12))


def _scores(rows: Rows, scale: float) -> dict[str, float]:
    mean, variance, y = (torch.cat(parts) for parts in zip(*rows, strict=True))
    told = Predictive(mean, scale * variance)
    return {name: SCORES[score](told, y) for name, score in NAMES.items()}


def _told(
    net: Net,
    transfer: Transfer,
    adaptation: Adaptation,
    data: Data,
    evaluation: Evaluation,
    engine: Engine,
    split: Split,
    count: int,
) -> Rows:
    net = net.with_outputs(data.outputs(evaluation.tasks))
    runner = engine if adaptation.batched else Loop()
    fast = runner.ready(net)

    def one(episode: Episode) -> tuple[Tensor, Tensor]:
        said = adaptation.predictive(fast.for_task(episode), transfer, episode, evaluation.seed)
        return said.mean, said.sure()

    found: dict[int, tuple[Tensor, ...]] = {}
    for (mean, variance), y, numbers in answers(one, runner, data, evaluation, split, count):
        rows = (leaf.cpu().double() for leaf in (mean, variance, y.reshape(mean.shape)))
        found |= zip(numbers, zip(*rows, strict=True), strict=True)
    return [(found[number][0], found[number][1], found[number][2]) for number in sorted(found)]
