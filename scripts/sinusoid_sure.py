"""Sinusoids by learners that say how sure they are: error, likelihood and coverage at 0 to 10 points.

    python scripts/sinusoid_sure.py --out results/sinusoid-sure

ALPaCA, deep kernel transfer, a net that was trained on all waves at once and MAML, both with a last-layer
Laplace approximation, a conditional and an attentive neural process and a transformer that reads points
(configs/sinusoid.yaml), three seeds each; 1,000 new waves, the same for all, noise variance 0.02. Values that
a config leaves open are chosen by NLL on waves of meta-val. Resumable; --share 0.05 for a twentieth of the
20,000 steps, --rows for some.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import study
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl import tree
from metatl.adapt import Adaptation
from metatl.data import Fewer, Sinusoid
from metatl.evaluation.statistics import estimate
from metatl.lab import config, store
from metatl.lab.experiment import candidates
from metatl.lab.run import Run, learn, prepare
from metatl.types import Batch, Episode, MetatlError, Split

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "sinusoid.yaml"
ROWS = (
    *("alpaca", "dkt", "laplace", "maml-laplace"),
    *("conditional-neural-process", "neural-process", "in-context"),
)
POINTS, STEPS, WAVES = (0, 1, 2, 3, 5, 10), 20_000, 1000
SCORES = ("MSE", "NLL", "coverage, %")
ABOUT = (
    "y = A sin(x - phase) + e, e of variance 0.02, A from [0.1, 5], phase from [0, π], x from [-5, 5]; a "
    "tanh net of 128, 128, 32, or one that reads points; {steps:,} of {whole:,} steps, {seeds} training "
    "seeds; {waves:,} new waves, 100 query points each. Mean over waves (each averaged over seeds first) ± "
    "half of its 95 % interval; in brackets seeds where there are several; a dash where a row asks for "
    "points. MSE: to the wave without noise. NLL and coverage: of the normal with the row's mean and "
    "variance. NLL: nats a noisy point, at best -0.54. Coverage: of noisy points by their 95 % intervals."
)


@dataclass(frozen=True)
class Told:
    """Scores of one net: [points, 3, waves], and what was chosen on meta-val."""

    values: NDArray[np.float64]
    selected: dict[str, Any]


def made(row: str, seed: int, runs: str, steps: int) -> Told:
    """Learned, or loaded where that was done, and evaluated."""
    own = ["--runs", runs, "--seed", str(seed), "--learner.init_args.steps", str(steps)]
    run = prepare(config.load(CONFIGS / row, own), own)
    told = config.describe(run.experiment)
    key = config.digest([run.digest, *(told[name] for name in ("adaptation", "evaluation", "select"))])
    place = run.folder / "evaluations" / f"sure-{key}.json"
    if not place.is_file():
        way, said = chosen(run)
        values = [judged(run, way, "meta_test", count, WAVES).tolist() for count in POINTS]
        store.write_json(place, {"values": values, "selected": config.describe(said)})
    kept = store.read_json(place)
    return Told(np.array(kept["values"], dtype=np.float64), kept["selected"])


def chosen(run: Run) -> tuple[Adaptation, dict[str, Any]]:
    """The adaptation of least NLL on waves of meta-val, over all numbers of points, and its values."""
    options = candidates(run.experiment)
    if len(options) == 1:
        return run.experiment.adaptation, {}
    count = run.experiment.evaluation.select_episodes
    losses = [
        np.nanmean([judged(run, way, "meta_val", points, count)[1] for points in POINTS])
        for _, way in options
    ]
    values, way = options[int(np.nanargmin(losses))]
    return way, values


def judged(run: Run, way: Adaptation, split: Split, points: int, waves: int) -> NDArray[np.float64]:
    """MSE, NLL and coverage [3, waves] from the first so many of ten points."""
    transfer, _ = learn(run)
    ask = run.experiment.evaluation
    net = run.engine.ready(run.net).with_outputs(1)
    source = run.experiment.data
    source = source.of if isinstance(source, Fewer) else source
    assert isinstance(source, Sinusoid)
    noisy = source.load().draw(split, ask.tasks, ask.seed, 0, waves)
    clean = replace(source, noise=0.0).load().draw(split, ask.tasks, ask.seed, 0, waves)
    some = tree.apply(lambda leaf: leaf[:, :points], noisy.support)

    def one(given: tuple[Episode, Tensor]) -> Tensor:
        episode, wave = given
        told = way.predictive(net, transfer, episode)
        low, high = told.interval(0.95)
        y = episode.query.y
        held = ((low <= y) & (y <= high)).double()
        return torch.stack([(told.mean - wave).square().mean(), told.nll(y).mean(), held.mean()]).double()

    try:
        with torch.no_grad():
            episodes = (Episode(Batch(some.x, some.y), noisy.query), clean.query.y)
            return run.engine.map(one, episodes).T.numpy()
    except MetatlError:
        if points:
            raise
        return np.full((len(SCORES), waves), np.nan)  # the row has no answer without points


def table(found: dict[str, list[Told]]) -> str:
    """Markdown: a line for every row and score, a column for every number of points."""
    lines = [
        "| row | score | " + " | ".join(f"{n} points" for n in POINTS) + " |",
        "|" + "---|" * (2 + len(POINTS)),
    ]
    for row, own in found.items():
        values = np.stack([one.values for one in own])  # [seeds, points, 3, waves]
        for k, score in enumerate(SCORES):
            factor = 100 if score.endswith("%") else 1
            cells = [cell(factor * values[:, i, k]) for i in range(len(POINTS))]
            lines.append(f"| {row} | {score} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(values: NDArray[np.float64]) -> str:
    """Of [seeds, waves]; a dash where the row asks for points."""
    if np.isnan(values).all():
        return "–"
    mean = values.mean(0)
    told = f"{mean.mean():.3g} ± {estimate(mean).ci95 or 0.0:.2g}"
    seeds = ", ".join(f"{own.mean():.3g}" for own in values)
    return told if len(values) == 1 else f"{told} ({seeds})"


def main() -> None:
    parser = study.parser("Sinusoids with intervals.", "results/sinusoid-sure", "runs/sinusoid-sure")
    parser.add_argument("--seeds", type=study.count, default=3, help="training seeds 0, 1, ... [3]")
    parser.add_argument("--share", type=study.share, default=1.0, help="of the 20,000 steps [1]")
    parser.add_argument("--rows", help="these alone, with commas between them; all by default")
    given = parser.parse_args()
    torch.set_num_threads(1)
    steps, rows = max(1, round(given.share * STEPS)), ROWS if given.rows is None else given.rows.split(",")
    if unknown := {*rows} - {*ROWS}:
        raise MetatlError(f"--rows: {', '.join(sorted(unknown))} is none of {', '.join(ROWS)}")
    found = {row: [made(row, seed, given.runs, steps) for seed in range(given.seeds)] for row in rows}
    about = ABOUT.format(steps=steps, whole=STEPS, seeds=given.seeds, waves=WAVES)
    text = "\n\n".join(["# Sinusoids by learners that say how sure they are", about, table(found)])
    picked = {row: [one.selected for one in own] for row, own in found.items() if own[0].selected}
    notes = [f"- {row} chose on meta-val, by NLL, for each seed: {said}" for row, said in picked.items()]
    store.write_text(Path(given.out) / "table.md", "\n".join([text, *[""][: len(notes)], *notes, ""]))
    values = {row: [one.values.mean(-1).tolist() for one in own] for row, own in found.items()}
    told = {"about": about, "points": POINTS, "scores": SCORES, "means_by_seed": values, "selected": picked}
    store.write_json(Path(given.out) / "report.json", told)


if __name__ == "__main__":
    study.command(main)
