"""How hapt_personal.py chooses: values in folds of the training people, then nets that learned from all."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import study
import torch
from hapt_personal_measure import Found, by_person, outputs, people, protocol

from metatl.adapt import score
from metatl.evaluation.evaluate import Report, counted, evaluate
from metatl.lab import config, store
from metatl.lab.experiment import candidates, with_value
from metatl.lab.run import Run, learn, prepare
from metatl.types import MetatlError

VAL_FOLDS = [[5, 11, 17, 23, 29], [1, 7, 15, 21, 26, 30], [3, 8, 16, 22, 27], [6, 14, 19, 25, 28]]
"""Of the 21 official training people; values are chosen on each with a net of the others."""
OFFICIAL = [2, 4, 9, 10, 12, 13, 18, 20, 24]
"""The official test people."""


def divided(test: Sequence[int], val: Sequence[int]) -> list[str]:
    """Overrides that say who is in which split: meta_train is everybody else."""
    train = [one for one in range(1, 31) if one not in {*test, *val}]
    parts = {"train": train, "val": val, "test": test}
    said = [(f"--data.init_args.{name}", json.dumps([*map(str, sorted(of))])) for name, of in parts.items()]
    return [word for pair in said for word in pair]


EVERYBODY = divided(OFFICIAL, [])


def kept(path: Path, words: list[str], kind: str, make: Callable[[], Found]) -> Found:
    """What was found for a config under overrides before; made if it was not. words[1]: where runs lie."""
    place = Path(words[1]) / "hapt" / f"{path.name}-{config.digest([_values(path), words, kind])}"
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
    start = values.pop("start", None)  # a path, which says nothing of what lies there
    return [values, *(_values(Path(start)) if start else [])]


def made(path: Path, words: list[str], seeds: Sequence[int]) -> Found:
    """A config under overrides: values chosen in folds of the 21, then a net a seed that learned from all."""
    options = selection(path, words)
    whole = [option for option in options if option["meta_val"] is not None]
    if options and not whole:
        raise MetatlError(f"{path.name}: adaptation diverges at every value of `select`; add lower ones")
    chosen = max(whole, key=lambda option: option["meta_val"])["values"] if whole else {}
    parts = [on_everybody(path, [*words, *EVERYBODY, "--seed", str(seed)], chosen) for seed in seeds]
    first, costs = parts[0].report, ("ms_per_task", "seconds_to_learn")
    scores = np.array([part.report.scores for part in parts])
    facts = {**first.facts, "selected": chosen, "selection": options}
    facts |= {key: float(np.mean([part.report.facts[key] for part in parts])) for key in costs}
    facts["diverged"] = study.diverged(part.report for part in parts)
    facts |= {"nets": len(seeds), "accuracy_by_net": [100 * float(mean) for mean in scores.mean(1)]}
    calibration = {
        key: np.mean([part.calibration[key] for part in parts], 0).tolist() for key in parts[0].calibration
    }
    return Found(replace(first, scores=scores.mean(0), facts=facts), parts[0].people, calibration)


def selection(path: Path, words: list[str]) -> list[dict[str, Any]]:
    """Mean accuracy of every value that a config has to choose from, over folds of the training people."""
    count = "--evaluation.select_episodes"
    folds = [[*words, *divided(OFFICIAL, fold), count, str(4 * len(fold))] for fold in VAL_FOLDS]
    found = [tried(prepare(config.load(path, own), own)) for own in folds]
    sizes = [len(fold) for fold in VAL_FOLDS]
    return [
        {
            "values": options[0]["values"],
            "meta_val": _average([option["meta_val"] for option in options], sizes),
        }
        for options in zip(*found, strict=True)
    ]


def _average(means: Sequence[float | None], sizes: Sequence[int]) -> float | None:
    """Over folds; None for a value that diverges in one of them."""
    return None if None in means else float(np.average(np.array(means), weights=sizes))


def tried(run: Run) -> list[dict[str, Any]]:
    """Mean accuracy on meta_val of every value that a config has to choose from."""
    options, described = candidates(run.experiment), config.describe(run.experiment)
    named = config.digest([run.digest, *(described[key] for key in ("adaptation", "evaluation", "select"))])
    place = run.folder / "evaluations" / f"chosen-{named}.json"
    if len(options) == 1:
        return []
    if not place.is_file():
        (transfer, _), evaluation = learn(run), run.experiment.evaluation
        tries = [
            evaluate(run.net, transfer, adaptation, run.data, evaluation, run.engine, split="meta_val")
            for _, adaptation in options
        ]
        found = [
            {"values": values, "meta_val": None if one.diverged else one.mean}
            for (values, _), one in zip(options, tries, strict=True)
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
        each = torch.stack([score(*one) for one in zip(found.double(), y, strict=True)])
        scores, lost = counted(each.numpy())
        facts: dict[str, Any] = {
            "diverged": lost,
            "ms_per_task": 1000 * (time.perf_counter() - began) / len(scores),
        }
        told, trainable = protocol(run)
        facts |= {"seconds_to_learn": learn(run)[1], "family": experiment.family, "trainable": trainable}
        store.save_report(place, Report(experiment.name, scores, told, facts))
        store.write_json(place / "calibration.json", by_person(found, y, who))
    return Found(store.load_report(place), who, store.read_json(place / "calibration.json"))
