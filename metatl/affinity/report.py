"""The report: gains of all pairs with intervals, Taskonomy's affinities, and which estimate tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metatl.affinity.agreement import agreement
from metatl.affinity.kept import Kept
from metatl.affinity.matrix import Transfers
from metatl.affinity.normalised import affinity
from metatl.evaluation.statistics import holm, shown
from metatl.transferring import scores
from metatl.transferring.judging import score_of

Values = NDArray[np.float64]


def report(work: Transfers, kept: Kept, draws: int, facts: dict[str, Any]) -> dict[str, Any]:
    """Plain values. gain: score minus that of learning from nothing, signed so that more is better."""
    score, names = score_of(work.tasks[0].targets.values), [one.name for one in work.tasks]
    pairs = [pair for j in range(len(names)) for pair in _to(work, kept, draws, j)]
    for pair, p in zip(pairs, holm([pair["p"] for pair in pairs]), strict=True):
        pair["p_holm"] = p
        pair["harm"] = shown(p) and pair["gain"] < 0
        pair["help"] = shown(p) and pair["gain"] > 0
    return {
        "protocol": {
            **facts,
            "tasks": names,
            "score": score.name,
            "unit": score.unit,
            "better": score.better,
            "labelled": work.labelled,
            "draws": draws,
            "seed": work.seed,
        },
        "scratch": {name: _scratch(work, kept, draws, j) for j, name in enumerate(names)},
        "pairs": pairs,
        "estimates": [
            _agreement(work, place, one.name, pairs, names) for place, one in enumerate(work.estimates)
        ],
    }


def _to(work: Transfers, kept: Kept, draws: int, j: int) -> list[dict[str, Any]]:
    """All pairs of one target."""
    task, cells = work.tasks[j], [kept.held[j, draw] for draw in range(draws)]
    score = score_of(task.targets.values)
    held = np.array([cell.scores for cell in cells], np.float64)  # [draws, starts, rows]
    losses = np.array([cell.losses for cell in cells], np.float64)
    shares = affinity(losses.swapaxes(0, 1).reshape(held.shape[1], -1))
    told = np.array([cell.estimates for cell in cells], np.float64).mean(0)
    found: list[dict[str, Any]] = []
    for place, i in enumerate(i for i in range(len(work.tasks)) if i != j):
        gain = scores.difference(score, held[:, place], held[:, -1], whole=False)
        ends = None if gain.ci95 is None else sorted(score.sign * one for one in gain.ci95)
        found.append(
            {
                "source": work.tasks[i].name,
                "target": task.name,
                "score": score.factor * float(held[:, place].mean()),
                "gain": score.sign * gain.mean,
                "ci95": ends,
                "p": gain.p,
                "affinity": float(shares[place]),
                "beats_scratch": bool(shares[place] > shares[-1]),
                "estimates": {
                    one.name: None if np.isnan(value) else float(value)
                    for one, value in zip(work.estimates, told[place], strict=True)
                },
            }
        )
    return found


def _scratch(work: Transfers, kept: Kept, draws: int, j: int) -> dict[str, Any]:
    score = score_of(work.tasks[j].targets.values)
    values = np.array([kept.held[j, draw].scores[-1] for draw in range(draws)], np.float64)
    found = scores.interval(score, values, whole=False)
    return {"score": found.mean, "ci95": found.ci95, "rows": values.shape[1]}


def grid(pairs: Sequence[dict[str, Any]], names: Sequence[str], of: Any) -> Values:
    """[sources, targets] of a number of every pair; NaN on the diagonal and for None."""
    found = np.full((len(names), len(names)), np.nan)
    at = {name: place for place, name in enumerate(names)}
    for pair in pairs:
        value = of(pair)
        found[at[pair["source"]], at[pair["target"]]] = np.nan if value is None else value
    return found


def _agreement(
    work: Transfers, place: int, name: str, pairs: Sequence[dict[str, Any]], names: Sequence[str]
) -> dict[str, Any]:
    told = grid(pairs, names, lambda pair: pair["estimates"][name])
    found = agreement(told, grid(pairs, names, lambda pair: pair["gain"]), work.seed + place)
    return {"estimate": name, **vars(found)}
