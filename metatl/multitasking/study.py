"""Ways beside each other on the same draws, and the report of it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from metatl.evaluation.statistics import LEVEL, Estimate, estimate, holm, paired
from metatl.multitasking.fit import FittedCell, NetBudget, drawn, fitted
from metatl.multitasking.judging import DrawnRows
from metatl.multitasking.kept_fits import KeptFits
from metatl.multitasking.problem import Several
from metatl.multitasking.rows import SINGLE, Way

Values = dict[str, Any]
ALL = "all targets"
FEWEST = 3
"""Draws of an interval, at least."""


def run(
    problem: Several,
    ways: Mapping[str, Way],
    seeds: int,
    budget: NetBudget,
    minutes: float,
    tick: Callable[[str], None] = lambda said: None,
    kept: KeptFits | None = None,
) -> dict[tuple[str, int], FittedCell]:
    """Every way on every seed, seed by seed, until the minutes are over; the first seed is always done.

    kept: where fits are written as soon as they are done, and read where they are; minutes are those of all
    commands. One that is killed loses the fit that it was at.
    """
    kept = KeptFits() if kept is None else kept
    cells: dict[tuple[str, int], FittedCell] = {}
    begun, before = time.perf_counter(), kept.spent
    for seed in range(seeds):
        draw: DrawnRows | None = None
        for name, way in ways.items():
            cell = kept.get(name, way, seed)
            if cell is None and (not seed or kept.spent <= 60 * minutes):
                tick(f"{name}, draw {seed + 1} of {seeds}")
                draw = drawn(problem, seed, budget) if draw is None else draw
                cell = fitted(problem, way, draw, budget, seed)
                kept.put(name, way, seed, cell)
                kept.note(before + time.perf_counter() - begun)
            if cell is not None:
                cells[name, seed] = cell
    return cells


def report(
    problem: Several, ways: Mapping[str, Way], cells: Mapping[tuple[str, int], FittedCell], protocol: Values
) -> Values:
    """What `report.json` holds: a row for each way and target, and one for all targets together."""
    rows: list[Values] = []
    loss = "mean pinball loss" if any(cell.also for cell in cells.values()) else "root mean squared error"
    for target in [*problem.targets, ALL]:
        own = [_row(problem, cells, name, target) for name in ways]
        ps = holm([row["p"] for row in own])
        rows += [row | {"p": None if p is None else round(p, 4)} for row, p in zip(own, ps, strict=True)]
    meaning = {
        "score": f"percent right of classes, {loss} of values; of {ALL} the mean gain",
        "gain": f"relative to {SINGLE} on the same draw, in percent: above 0 is better, whatever the score",
        "ci95": "95 %, Student's t over draws, which share rows, shares within 0 and 100; null below 3",
        "difference": f"score minus that of {SINGLE} on the same draws",
        "p": "two-sided, of the gain; Holm-corrected over the ways of one target",
        "harmed": f"percent of the draws in which the way is worse than {SINGLE}",
        "coverage": "of quantiles: percent of the rows between the outermost two; nominal: what it should be",
        "width": "of quantiles: mean distance of the outermost two, in the target's unit",
        "off level": "of quantiles: largest gap between a level and the share of rows below it, in points",
        "seconds": "mean of a draw: to learn, choose and judge",
    }
    return {"protocol": {**protocol, "meaning": meaning, "reference": SINGLE}, "rows": rows}


def gains(
    problem: Several, cells: Mapping[tuple[str, int], FittedCell], name: str, target: str
) -> list[float]:
    """Relative gain over single nets of each draw that both have, in percent; of all targets their mean."""
    found: list[float] = []
    for seed in _seeds(cells, name):
        own, other = cells[name, seed].scores, cells[SINGLE, seed].scores
        names = list(problem.targets) if target == ALL else [target]
        each = [_gain(own[n], other[n], problem.targets[n].kind == "classes") for n in names]
        found.append(float(np.mean(each)))
    return found


def _gain(own: float, other: float, up: bool) -> float:
    return 100.0 * (own - other) / max(abs(other), 1e-12) * (1 if up else -1)


def _seeds(cells: Mapping[tuple[str, int], FittedCell], name: str) -> list[int]:
    return sorted(seed for one, seed in cells if one == name and (SINGLE, seed) in cells)


def _row(problem: Several, cells: Mapping[tuple[str, int], FittedCell], name: str, target: str) -> Values:
    seeds = _seeds(cells, name)
    found = gains(problem, cells, name, target)
    finite = bool(seeds) and bool(np.isfinite(found).all())
    gain = estimate(found) if finite else None
    tested = paired(found, [0.0] * len(found)) if finite and len(found) >= FEWEST and name != SINGLE else None
    row: Values = {"method": name, "target": target, "labelled": "all", "draws": len(seeds)}
    if target == ALL:
        row |= {"score": _mean(gain), "ci95": _ends(gain), "difference": None, "difference_ci95": None}
    else:
        own, other = ([cells[one, s].scores[target] for s in seeds] for one in (name, SINGLE))
        score = estimate(own) if finite else None
        most = 100.0 if problem.targets[target].kind == "classes" else math.inf
        apart = paired(own, other) if finite and len(own) > 1 and name != SINGLE else None
        told = [cells[name, s].also.get(target, {}) for s in seeds]
        unit = "%" if most == 100.0 else "pinball" if any(told) else "RMSE"
        row |= {key: _digits(float(np.mean([one[key] for one in told]))) for key in told[0]} if told else {}
        row |= {"score": _mean(score), "unit": unit, "ci95": _ends(score, 0.0, most)}
        row |= {"difference": _mean(apart), "difference_ci95": _ends(apart)}
    shown = name != SINGLE
    return row | {
        "gain": _mean(gain) if shown else None,
        "gain_ci95": _ends(gain) if shown else None,
        "p": None if tested is None else tested.p,
        "harmed": round(100.0 * float(np.mean(np.array(found) < 0)), 1) if shown and found else None,
        "moved": True,
        "seconds": round(float(np.mean([cells[name, s].seconds for s in seeds])), 3) if seeds else None,
        "selected": [cells[name, s].selected for s in seeds],
    }


def _mean(found: Estimate | None) -> float | None:
    return None if found is None else _digits(found.mean)


def _ends(found: Estimate | None, least: float = -math.inf, most: float = math.inf) -> list[float] | None:
    if found is None or found.ci95 is None or found.n < FEWEST:
        return None
    ends = (found.mean + side * found.ci95 for side in (-1, 1))
    return [_digits(min(max(end, least), most)) for end in ends]


def _digits(value: float) -> float:
    """Six digits, whatever the unit."""
    return float(f"{value:.6g}")


def table(found: Values) -> str:
    """A Markdown table a target: score and gain with intervals, coverage, who is harmed, seconds."""
    lines: list[str] = []
    for target in dict.fromkeys(row["target"] for row in found["rows"]):
        rows = [row for row in found["rows"] if row["target"] == target]
        held = [row for row in rows if "coverage" in row]
        covers = [f"coverage % of {held[0]['nominal']:g}", "width"] if held else []
        score = f"score, {rows[0]['unit']}" if target != ALL else "score"
        heads = ["method", "draws", score, *covers, f"gain % over {SINGLE}", "p", "harmed %", "s"]
        lines += [f"## {target}", "", f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
        for row in rows:
            cut = f"{row['p']:.3f}{' *' if row['p'] < LEVEL else ''}" if row["p"] is not None else ""
            score = "" if target == ALL else _said(row["score"], row["ci95"], "")
            own = [f"{row[key]:.4g}" if key in row else "" for key in ("coverage", "width")] if held else []
            gain = _said(row["gain"], row["gain_ci95"], "+")
            harmed = "" if row["harmed"] is None else f"{row['harmed']:g}"
            said = (row["method"], row["draws"], score, *own, gain, cut, harmed, row["seconds"])
            lines.append("| " + " | ".join(map(str, said)) + " |")
        lines.append("")
    return "\n".join(lines)


def _said(value: float | None, ends: list[float] | None, sign: str) -> str:
    if value is None:
        return ""
    return f"{value:{sign}.4g}" + ("" if ends is None else f" ({ends[0]:{sign}.4g} to {ends[1]:{sign}.4g})")
