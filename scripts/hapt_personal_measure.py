"""How hapt_personal.py measures: values chosen on training people, accuracy and calibration by person."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl import config, store
from metatl.adapt import Adaptation, predict
from metatl.data import HaptData
from metatl.engines.engine import moving_names
from metatl.evaluate import Report, evaluate
from metatl.experiment import candidates, with_value
from metatl.run import Run, learn, prepare
from metatl.types import Episode

BINS = 15
EVERYBODY = ["--data.init_args.val_subjects", "[]"]


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


def kept(path: Path, words: list[str], kind: str, make: Callable[[], Found]) -> Found:
    """What was found for a config under overrides before; made if it was not. words[1]: where runs lie."""
    place = Path(words[1]) / "hapt" / f"{path.stem}-{config.digest([_values(path), words, kind])}"
    if not (place / "people.json").is_file():
        found = make()
        store.save_report(place, found.report)
        beside = {"people": found.people.tolist(), "calibration": found.calibration}
        store.write_json(place / "people.json", beside)
    beside = store.read_json(place / "people.json")
    return Found(store.load_report(place), np.array(beside["people"]), beside["calibration"])


def _values(path: Path) -> list[Any]:
    """A config's values, and those of what it starts from."""
    values = config.read(path)
    return [values, *(_values(Path(values["start"])) if "start" in values else [])]


def made(path: Path, words: list[str], seeds: Sequence[int]) -> Found:
    """A config under overrides: values chosen on meta_val, then a net a seed that learned from those too."""
    options = selection(prepare(config.load(path, words), words))
    chosen = max(options, key=lambda option: option["meta_val"])["values"] if options else {}
    parts = [on_everybody(path, [*words, *EVERYBODY, "--seed", str(seed)], chosen) for seed in seeds]
    first, costs = parts[0].report, ("ms_per_task", "seconds_to_learn")
    scores = np.array([part.report.scores for part in parts])
    facts = {**first.facts, "selected": chosen, "selection": options}
    facts |= {key: float(np.mean([part.report.facts[key] for part in parts])) for key in costs}
    facts |= {"nets": len(seeds), "accuracy_by_net": [100 * float(mean) for mean in scores.mean(1)]}
    calibration = {
        key: np.mean([part.calibration[key] for part in parts], 0).tolist() for key in parts[0].calibration
    }
    return Found(replace(first, scores=scores.mean(0), facts=facts), parts[0].people, calibration)


def selection(run: Run) -> list[dict[str, Any]]:
    """Mean accuracy on meta_val of every value that a config has to choose from."""
    options, described = candidates(run.experiment), config.describe(run.experiment)
    named = config.digest([run.digest, *(described[key] for key in ("adaptation", "evaluation", "select"))])
    place = run.folder / "evaluations" / f"chosen-{named}.json"
    if len(options) == 1:
        return []
    if not place.is_file():
        (transfer, _), evaluation = learn(run), run.experiment.evaluation
        means = [
            evaluate(run.net, transfer, adaptation, run.data, evaluation, run.engine, split="meta_val").mean
            for _, adaptation in options
        ]
        found = [
            {"values": values, "meta_val": mean if mean == mean else 0.0}  # what diverges has no mean
            for (values, _), mean in zip(options, means, strict=True)
        ]
        store.write_json(place, {"options": found})
    return store.read_json(place)["options"]


def on_everybody(path: Path, words: list[str], chosen: dict[str, Any]) -> Found:
    """A config with chosen values, on the meta_test episodes."""
    experiment = config.load(path, words)
    adaptation = experiment.adaptation
    for name, value in chosen.items():
        adaptation = with_value(adaptation, name, value)
    run = prepare(replace(experiment, adaptation=adaptation, select=None), words)
    described, who = config.describe(run.experiment), people(run, run.experiment.evaluation.episodes)
    named = config.digest([run.digest, described["adaptation"], described["evaluation"]])
    place = run.folder / "evaluations" / f"people-{named}"
    if not (place / "calibration.json").is_file():
        began = time.perf_counter()
        logits, y = outputs(run, adaptation, (adaptation.steps,))
        found = logits[adaptation.steps]
        scores = (found.argmax(-1) == y).double().mean(-1).numpy()
        facts = {"ms_per_task": 1000 * (time.perf_counter() - began) / len(scores)}
        told, trainable = protocol(run)
        facts |= {"seconds_to_learn": learn(run)[1], "family": experiment.family, "trainable": trainable}
        store.save_report(place, Report(experiment.name, scores, told, facts))
        store.write_json(place / "calibration.json", by_person(found, y, who))
    return Found(store.load_report(place), who, store.read_json(place / "calibration.json"))


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
    assert isinstance(data, HaptData)
    return np.array([data.subject("meta_test", i, evaluation.seed, evaluation.tasks) for i in range(count)])


def outputs(run: Run, adaptation: Adaptation, at: Sequence[int]) -> tuple[dict[int, Tensor], Tensor]:
    """Outputs [episodes, rows, activities] behind the steps `at`, and labels, of the meta_test episodes."""
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
