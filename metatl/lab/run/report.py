"""An experiment's report: rates chosen on meta-val, meta-test evaluated once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metatl import processes
from metatl.adapt import Adaptation
from metatl.engines.engine import task
from metatl.evaluation.calibration import calibration
from metatl.evaluation.evaluate import Report, evaluate, predictions
from metatl.evaluation.intervals import intervals
from metatl.lab import config, record, store
from metatl.lab.experiment import candidates
from metatl.lab.provenance import now
from metatl.lab.run import alike, precision, shared
from metatl.lab.run.curves import judged
from metatl.lab.run.folder import check_own, complete, evaluation, kept, report_folder, reported
from metatl.lab.run.learn import learn, write_config
from metatl.lab.run.origin import note_evaluation, say_other
from metatl.lab.run.page import write_page
from metatl.lab.run.predictions import note_predictions
from metatl.lab.run.prepare import Run
from metatl.lab.run.values import flat
from metatl.types import MetatlError, Split, Transfer


def report(run: Run, beside: bool = False) -> Report:
    """The experiment's report: loaded if it is there for these very values, made if not.

    A run directory keeps the report of its first evaluation and its config; one with other values lies beside
    them, under `evaluations/`, as every new one does with `beside`. Weights that are missing are learned
    again; a report that is there then stays if the scores are still the same.
    """
    alike.check_work("evaluating", evaluation(run))
    found = shared.report(_at_hand(run, beside) if processes.writer() else None)
    if found is not None:
        say_other(run, report_folder(run, beside), found)
        write_page(run.folder, report_folder(run, beside), again=False)
        return found
    transfer, seconds = learn(run)
    with store.locked(run.folder) as check_held, precision.products(run.experiment):
        folder, before = report_folder(run, beside), kept(run, beside)
        if folder != run.folder:
            store.make_folder(folder.parent)
            store.make_folder(folder)
        elif not reported(run):
            write_config(run)
        made = _evaluated(run, transfer, seconds, folder)
        check_held()
        if before is not None and before.scores.tobytes() == made.scores.tobytes():
            say_other(run, folder, before)
            made = before
        else:
            if folder == run.folder:
                write_config(run)
            note_evaluation(run, folder)
            store.save_report(folder, made)
        write_page(run.folder, folder, again=True)
    found = shared.report(made if processes.writer() else None)
    assert found is not None
    return found


def _at_hand(run: Run, beside: bool) -> Report | None:
    """The report that is there, with the weights that it belongs to; a config that was lost is written."""
    found = kept(run, beside) if complete(run) else None
    if found is not None:
        check_own(run)
        if run.other is None and report_folder(run) == run.folder and not reported(run):
            write_config(run)
    return found


def _evaluated(run: Run, transfer: Transfer, seconds: float, folder: Path) -> Report:
    experiment = run.experiment
    options, few = candidates(experiment), experiment.evaluation.select_episodes
    choosing = options if len(options) > 1 else []
    tried: list[Report] = []
    with record.bar(
        f"{experiment.name}: evaluating", experiment.evaluation.episodes + few * len(choosing)
    ) as bar:
        for _, adaptation in choosing:
            advance = functools.partial(_advance, bar, few * len(tried))
            tried.append(_one(run, transfer, adaptation, "meta_val", advance))
        values, adaptation = choosing[_best(run, tried)] if choosing else options[0]
        done = functools.partial(_advance, bar, few * len(tried))
        made = _one(run, transfer, adaptation, "meta_test", done)
    if not math.isfinite(made.mean):
        raise _diverged(run, made, adaptation)
    facts = {
        **made.facts,
        "seconds_to_learn": seconds,
        "selected": config.describe(values),
        "selection": [_tried(values, found) for (values, _), found in zip(choosing, tried, strict=True)],
        "family": experiment.family,
        "evaluation": evaluation(run),
        "learned": run.digest,
        "finished": now(),
    }
    if run.other is not None:
        facts["learned_on"] = run.data.name
    if experiment.evaluation.calibrated:
        of = (adaptation, run.tested, experiment.evaluation, run.engine, run.data)
        real = run.tested.kind == "regression"
        facts["intervals" if real else "calibration"] = (intervals if real else calibration)(
            run.net, transfer, *of
        )
    made = Report(experiment.name, made.scores, made.protocol, facts)
    note_predictions(run, transfer, adaptation, folder)
    _picture(run, transfer, adaptation, made, folder)
    return made


def _best(run: Run, tried: Sequence[Report]) -> int:
    """The best mean on meta_val; a value that diverges on any episode is never chosen."""
    whole = [place for place, found in enumerate(tried) if not found.diverged]
    if not whole:
        least = min(tried, key=lambda found: len(found.diverged))
        raise MetatlError(
            f"{run.experiment.name}: adaptation diverges on {len(least.diverged)} of {len(least.scores)} "
            "episodes of meta_val or more at every value of `select`; add lower ones"
        )
    return max(whole, key=lambda place: tried[place].score.sign * tried[place].mean)


def _tried(values: dict[str, Any], found: Report) -> dict[str, Any]:
    """What a report says of a value that was tried; one that diverges has no mean."""
    lost = len(found.diverged)
    said = {"values": config.describe(values), "meta_val": None if lost else found.mean}
    return {**said, "diverged": lost} if lost else said


def _diverged(run: Run, made: Report, adaptation: Adaptation) -> MetatlError:
    lower = "adaptation.rule.lr or adaptation.steps, or let `select` choose among lower ones"
    advice = f"lower {lower}" if adaptation.guided_by_transfer else "choose other values of adaptation"
    return MetatlError(
        f"{run.experiment.name}: adaptation diverges on {len(made.diverged)} of {len(made.scores)} episodes, "
        f"so that there is no mean; {advice}, or scale inputs that are far too large"
    )


def _advance(bar: Any, before: int, done: int, total: int) -> None:
    bar(before + done)


def _one(run: Run, transfer: Transfer, adaptation: Any, split: Split, progress: Any) -> Report:
    """Values are chosen on meta_val of the run's own data, whatever data it is then evaluated on."""
    experiment = run.experiment
    return evaluate(
        run.net,
        transfer,
        adaptation,
        run.data if split == "meta_val" else run.tested,
        experiment.evaluation,
        run.engine,
        method=experiment.name,
        split=split,
        progress=progress,
    )


def _picture(run: Run, transfer: Transfer, adaptation: Any, made: Report, folder: Path) -> None:
    """What TensorBoard shows of it, where the report lies: the hyperparameters are those that were chosen."""
    if not processes.writer():
        return
    experiment, tasks = run.experiment, run.experiment.evaluation.tasks
    behind = experiment.learner.steps + 1
    with record.tensorboard(folder, experiment.learner.steps) as recorder:
        episode = task(run.tested.draw("meta_test", tasks, experiment.evaluation.seed, 0, 1), 0)
        net = run.net.with_outputs(run.tested.outputs(tasks))
        output, _ = predictions(net, transfer, adaptation, episode)
        pictures = run.data.kind == "classification" and len(run.data.shape) == 3
        pictures = pictures and run.tested.labelled_support
        if pictures and episode.query.y.dim() == 1 and 0 not in made.diverged:
            names = run.tested.class_names("meta_test", tasks, experiment.evaluation.seed, 0)
            recorder.episode("meta_test/episode", episode, output.argmax(-1), behind, names)
        said = {judged(run): made.mean, "ci95": made.ci95, "diverged": len(made.diverged) or None}
        values = {f"meta_test/{name}": value for name, value in said.items() if value is not None}
        recorder.scalars(behind, values)
        chosen = config.describe(replace(experiment, adaptation=adaptation))
        # TensorBoard sorts hyperparameters, shows the first few, and of all runs those that one of them names
        picked = ", ".join(f"{name} {value}" for name, value in made.facts["selected"].items())
        recorder.hparams({"1_chosen": picked, **flat(chosen)}, values)
