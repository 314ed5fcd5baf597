"""KL-anchored personalisation on the 30 people of HAPT: does the anchor help, and whom does it harm?

    METATL_DATA=../shared/data python scripts/hapt_personal.py --out results/hapt-personal

Every config of configs/hapt adapts one shared net to each of the 9 official test people, from 1, 2, 5 and 10
labelled windows per activity of one recording, and is scored on that person's other recording: ten draws a
person, the same for every method, every value chosen on the 5 meta-val people. Six folds then leave every one
of the 30 people out once (five methods, 1 and 5 windows), and plain and anchored personalisation go on for
100 steps, to see who over-fits. Resumable: what is done is not done again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import hapt_personal_table
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from metatl import config, store
from metatl.adapt import Adaptation, predict
from metatl.data import HaptData
from metatl.engines.engine import moving_names
from metatl.evaluate import Report
from metatl.experiment import with_value
from metatl.objectives import KLAnchor
from metatl.rules import Adam
from metatl.run import Run, learn, prepare, report
from metatl.types import Episode

CONFIGS = Path(__file__).resolve().parent.parent / "configs" / "hapt"
SHOTS = (1, 2, 5, 10)
FOLDS, FOLD_SHOTS = 6, (1, 5)
FOLD_METHODS = ("no-personalisation", "fine-tune", "kl-anchor", "l2-sp", "head-only")
ALPHAS, LONG, RATE = (0.0, 0.3, 0.6, 0.9), (0, 1, 2, 5, 10, 20, 50, 100), 0.003
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


def words(runs: str, shot: int) -> list[str]:
    return ["--runs", runs, "--evaluation.tasks.shot", str(shot)]


def made(method: str, overrides: list[str], calibrate: bool = True) -> Found:
    """A config under overrides: run, or loaded where that was done."""
    run = prepare(config.load(CONFIGS / f"{method}.yaml", overrides), overrides)
    found = report(run, beside=True)
    who = people(run, len(found.scores))
    return Found(found, who, calibrated(run, found, who) if calibrate else {})


def people(run: Run, count: int) -> NDArray[np.int64]:
    evaluation, data = run.experiment.evaluation, run.data
    assert isinstance(data, HaptData)
    return np.array([data.subject("meta_test", i, evaluation.seed, evaluation.tasks) for i in range(count)])


def calibrated(run: Run, found: Report, who: NDArray[np.int64]) -> dict[str, list[float]]:
    """Of the chosen values, by person: expected calibration error and negative log-likelihood."""
    place = run.folder / "evaluations" / found.facts["evaluation"] / "calibration.json"
    if place.is_file():
        return store.read_json(place)
    adaptation = run.experiment.adaptation
    for path, value in found.facts["selected"].items():
        adaptation = with_value(adaptation, path, value)
    logits, y = outputs(run, adaptation, (adaptation.steps,))
    assert abs(float((logits[adaptation.steps].argmax(-1) == y).double().mean()) - found.mean) < 2e-3
    values = by_person(logits[adaptation.steps], y, who)
    store.write_json(place, values)
    return values


def outputs(run: Run, adaptation: Adaptation, at: Sequence[int]) -> tuple[dict[int, Tensor], Tensor]:
    """Outputs [episodes, rows, activities] behind the steps `at`, and labels, of the meta-test episodes."""
    transfer, _ = learn(run)
    evaluation, engine = run.experiment.evaluation, run.experiment.engine
    net, moving = engine.ready(run.net), moving_names(transfer, False)

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
        values["accuracy"].append(float((log_p.argmax(-1) == labels).double().mean()))
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


def folds(runs: str, shot: int) -> list[list[str]]:
    """Overrides that leave every person out once: five of 30 as meta_test, the next fold's as meta_val."""
    groups = [list(range(k + 1, 31, FOLDS)) for k in range(FOLDS)]
    keys = ("--data.init_args.test_subjects", "--data.init_args.val_subjects")
    return [
        [*words(runs, shot), "--evaluation.episodes", "50", keys[0], str(test), keys[1], str(val)]
        for test, val in zip(groups, [*groups[1:], groups[0]], strict=True)
    ]


def left_out(method: str, runs: str, shot: int) -> Found:
    """A method over all folds, every person's draws from the fold that leaves the person out."""
    parts = [made(method, own, calibrate=False) for own in folds(runs, shot)]
    scores = np.concatenate([part.report.scores for part in parts])
    chosen = [part.report.facts["selected"] for part in parts]
    whole = replace(parts[0].report, scores=scores, facts={"selected": chosen})
    return Found(whole, np.concatenate([part.people for part in parts]), {})


def long_run(runs: str, shot: int, alpha: float) -> dict[int, dict[str, list[float]]]:
    """By step, by person: 100 steps of Adam at one rate, with an anchor of weight alpha."""
    own = words(runs, shot)
    run = prepare(config.load(CONFIGS / "kl-anchor.yaml", own), own)
    adaptation = replace(run.experiment.adaptation, terms=(KLAnchor(alpha),), rule=Adam(RATE), steps=LONG[-1])
    who = people(run, run.experiment.evaluation.episodes)
    named = config.digest([repr(adaptation), config.describe(run.experiment)["evaluation"], LONG])
    place = run.folder / "evaluations" / f"long-{named}.json"
    if not place.is_file():
        logits, y = outputs(run, adaptation, LONG)
        store.write_json(place, {step: by_person(logits[step], y, who) for step in LONG})
    return {int(step): values for step, values in store.read_json(place).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="KL-anchored personalisation on the people of HAPT.")
    parser.add_argument("--out", default="results/hapt-personal", help="folder for what is written")
    parser.add_argument("--runs", default="runs", help="folder of the run directories")
    given = parser.parse_args()
    methods = [path.stem for path in sorted(CONFIGS.glob("*.yaml"))]
    official, everybody, long = dict[int, Any](), dict[int, Any](), dict[int, Any]()
    with tqdm(total=len(SHOTS) * len(methods) + len(FOLD_SHOTS) * (len(FOLD_METHODS) + 1)) as bar:
        for shot in SHOTS:
            for method in methods:
                bar.set_description(f"{shot} windows, {method}")
                official.setdefault(shot, {})[method] = made(method, words(given.runs, shot))
                bar.update()
        for shot in FOLD_SHOTS:
            bar.set_description(f"{shot} windows, 100 steps")
            long[shot] = {alpha: long_run(given.runs, shot, alpha) for alpha in ALPHAS}
            bar.update()
            for method in FOLD_METHODS:
                bar.set_description(f"{shot} windows, every person left out, {method}")
                everybody.setdefault(shot, {})[method] = left_out(method, given.runs, shot)
                bar.update()
    hapt_personal_table.write(Path(given.out), official, everybody, long)


if __name__ == "__main__":
    main()
