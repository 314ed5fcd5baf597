"""An experiment's report: rates chosen on meta-val, meta-test evaluated once."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from metatl import config, processes, record, store
from metatl.engines.engine import task
from metatl.evaluate import Report, evaluate, predictions
from metatl.experiment import candidates
from metatl.provenance import now
from metatl.run import precision, shared
from metatl.run.learn import describe, learn
from metatl.run.prepare import Run, kind
from metatl.types import MetatlError, Transfer


def report(run: Run, beside: bool = False) -> Report:
    """The experiment's report: loaded if it is there for these very values, made if not.

    beside: keep it under `evaluations/` and leave the run's own report as it is.
    """
    described = config.describe(run.experiment)
    keys = ("adaptation", "evaluation", "select")
    wanted = config.digest({key: described[key] for key in keys} | {"learned": run.digest})
    folder = run.folder / "evaluations" / wanted if beside else run.folder
    found = shared.report(_kept(folder) if processes.writer() else None)
    if found is not None and found.facts.get("evaluation") == wanted:
        return found
    transfer, seconds = learn(run)
    with store.locked(run.folder) as check_held, precision.products(run.experiment):
        if not beside:
            describe(run)
        made = _evaluated(run, transfer, seconds, wanted)
        check_held()
        store.save_report(folder, made)
    return made


def _kept(folder: Path) -> Report | None:
    """The report that lies there; a damaged one is made again from the transfer, a newer one is refused."""
    if not (folder / "report.json").is_file():
        return None
    try:
        return store.load_report(folder)
    except store.DamagedError:
        return None


def _evaluated(run: Run, transfer: Transfer, seconds: float, wanted: str) -> Report:
    experiment = run.experiment
    found: list[tuple[float, dict[str, Any], Any]] = []
    options = candidates(experiment)
    total = experiment.evaluation.episodes
    total += experiment.evaluation.select_episodes * (len(options) if len(options) > 1 else 0)
    sign = 1.0 if run.data.kind == "classification" else -1.0
    with record.bar(f"{experiment.name}: evaluating", total) as bar:
        done = 0
        for chosen, adaptation in options if len(options) > 1 else []:
            tried = _one(run, transfer, adaptation, "meta_val", functools.partial(_advance, bar, done))
            done += experiment.evaluation.select_episodes
            # A rate at which adaptation diverges scores nothing; it loses instead of ending the run.
            mean = tried.mean if tried.mean == tried.mean else -sign * float("inf")
            found.append((sign * mean, chosen, adaptation))
        best = max(found, key=lambda item: item[0]) if found else (0.0, *options[0])
        made = _one(run, transfer, best[2], "meta_test", functools.partial(_advance, bar, done))
    bad = int((~np.isfinite(made.scores)).sum())
    if bad:
        raise MetatlError(
            f"{experiment.name}: adaptation diverges on {bad} of {len(made.scores)} episodes; lower "
            "adaptation.rule.lr or adaptation.steps, or let `select` choose among lower ones"
        )
    facts = {
        **made.facts,
        "seconds_to_learn": seconds,
        "selected": best[1],
        "selection": [{"values": chosen, "meta_val": sign * value} for value, chosen, _ in found],
        "family": experiment.family,
        "evaluation": wanted,
        "finished": now(),
    }
    made = Report(experiment.name, made.scores, made.protocol, facts)
    _picture(run, transfer, best[2], made)
    return made


def _advance(bar: Any, before: int, done: int, total: int) -> None:
    bar(before + done)


def _one(run: Run, transfer: Transfer, adaptation: Any, split: Any, progress: Any) -> Report:
    experiment = run.experiment
    return evaluate(
        run.net,
        transfer,
        adaptation,
        run.data,
        experiment.evaluation,
        run.engine,
        method=experiment.name,
        split=split,
        progress=progress,
    )


def _picture(run: Run, transfer: Transfer, adaptation: Any, made: Report) -> None:
    if not processes.writer():
        return
    experiment, tasks = run.experiment, run.experiment.evaluation.tasks
    behind = experiment.learner.steps + 1
    with record.tensorboard(run.folder, experiment.learner.steps) as recorder:
        episode = task(run.data.draw("meta_test", tasks, experiment.evaluation.seed, 0, 1), 0)
        output, _ = predictions(run.net.with_outputs(made.protocol["way"]), transfer, adaptation, episode)
        if run.data.kind == "classification" and len(run.data.shape) == 3:
            recorder.episode("meta_test/episode", episode, output.argmax(-1), behind)
        values = {f"meta_test/{kind(run)}": made.mean, "meta_test/ci95": made.ci95}
        recorder.scalars(behind, values)
        recorder.hparams(_hparams(config.describe(experiment)), values)


def _hparams(value: Any, prefix: str = "") -> dict[str, Any]:
    """A nested description as one level of dotted names."""
    if isinstance(value, dict):
        flat: dict[str, Any] = {}
        for key, item in value.items():
            inner = prefix if key == "init_args" else f"{prefix}.{key}".strip(".")
            flat |= _hparams(item, inner)
        return flat
    if isinstance(value, list):
        return {prefix: str(value)}
    return {} if value is None else {prefix: value}
