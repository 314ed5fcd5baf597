"""What lies in a run directory, and whether it belongs to the run that is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from metatl import processes
from metatl.evaluation.evaluate import Report
from metatl.lab import config, store
from metatl.lab.run import name
from metatl.lab.run.prepare import Run
from metatl.lab.run.told import facts
from metatl.types import MetatlError, Transfer

_OUTCOME = (
    *("report.json", "episodes.npy", "evaluations", "learned.json", "transfer.safetensors"),
    *("last.ckpt", "last.ckpt.previous", "metrics.jsonl", "events.out.tfevents.*", "files"),
    *("report.html", "predicted.json"),
)
"""What learning and evaluating write; a report goes before the weights that it was taken with."""


def facts_file(run: Run) -> Path:
    """Where the facts of the learning lie: seconds, inputs."""
    return run.folder / "learned.json"


def complete(run: Run) -> bool:
    """Whether what was learned is there whole, so that nothing is learned again.

    Raises MetatlError where what is there belongs to a method of another name.
    """
    _check_name(run)
    return run.learned.is_file() and facts_file(run).is_file()


def own_transfer(run: Run) -> Transfer:
    """What was learned; raises MetatlError for damaged files, and for those of another run."""
    return store.load_transfer(run.learned, run.digest, older=not check_own(run))


def check_own(run: Run) -> bool:
    """Raise MetatlError where what lies there is of another run; False where `learned.json` does not say."""
    said = facts(run.folder).get("digest")
    whose = store.owner(run.learned)
    if whose is not None and whose != run.digest and (whose or said is not None):
        raise store.not_own(run.learned, whose, run.digest)
    if said is not None and said != run.digest:
        raise store.not_own(facts_file(run), str(said), run.digest)
    return said is not None


def opened(run: Run, folder: Path) -> Run:
    """The run in its directory, wherever that was moved to.

    Raises MetatlError where a class or a weights file that it was learned with has changed, and for files of
    another run. Of a run that was learned before runs said where they started from, its weights' own word
    counts: a line says that it could not be checked.
    """
    run = replace(run, folder=folder)
    check_inputs(run, ("sources", "files"))
    if run.told is not None and not run.told.whole and run.experiment.start is not None:
        whose = store.owner(run.learned)
        processes.say(f"{folder} is of an older metatl; that its files belong together could not be checked")
        return replace(run, digest=whose) if whose else run
    if run.told is not None:
        check_own(run)
    return run


def evaluation(run: Run) -> str:
    """The digest of the evaluation that the run's values ask for."""
    other = run.other and {"described": run.other.describe(), "source": config.describe(run.experiment.data)}
    return name.evaluated(run.described, run.digest, other, run.kept)


def report_folder(run: Run, beside: bool = False) -> Path:
    """Where the report of the run's values lies or will lie.

    The run directory itself for its first evaluation; `evaluations/<digest>/` for another one (other values
    of adaptation, evaluation or select, other data), and wherever `beside` is asked and it is not the first.
    """
    wanted, own = evaluation(run), _evaluated(run.folder)
    if own == wanted or (own is None and not beside and run.other is None):
        return run.folder
    return run.folder / "evaluations" / wanted


def reported(run: Run) -> bool:
    """Whether a report lies in the run directory, with the config that says how it was taken."""
    return _evaluated(run.folder) is not None and (run.folder / "config.yaml").is_file()


def _evaluated(folder: Path) -> str | None:
    """The digest of the evaluation whose report lies there: "" where it says none, None without one."""
    try:
        told = store.read_json(folder / "report.json")
        return str(cast(Mapping[str, Any], told["facts"]).get("evaluation", ""))
    except (MetatlError, AttributeError, KeyError, TypeError):
        return None


def own_report(folder: Path) -> Report:
    """The report of a run directory, or of a folder in its `evaluations/`.

    Raises MetatlError as `store.load_report`, and for the report of another run.
    """
    found = store.load_report(folder)
    home = folder.parent.parent if folder.parent.name == "evaluations" else folder
    if (home / "learned.json").is_file():
        whose, said = str(found.facts.get("learned", "")), str(facts(home).get("digest", ""))
        if whose != said and whose and said:
            raise store.not_own(folder / "report.json", whose, said)
    return found


def kept(run: Run, beside: bool = False) -> Report | None:
    """The report of the run's values, if it is there whole; a newer version of it is refused."""
    found = _whole(report_folder(run, beside))
    return found if found is not None and found.facts.get("evaluation") == evaluation(run) else None


def _whole(folder: Path) -> Report | None:
    if not (folder / "report.json").is_file():
        return None
    try:
        return store.load_report(folder)
    except store.DamagedError:
        return None


def forget(run: Run) -> None:
    """Remove what was learned and found in the run directory, so that it is learned anew."""
    if processes.writer() and run.folder.is_dir():
        with store.locked(run.folder):
            for pattern in _OUTCOME:
                for path in sorted(run.folder.glob(pattern)):
                    store.remove_tree(path)


def _check_name(run: Run) -> None:
    """Names are folded to folders: 'a b' and 'a-b' share one, on some machines 'MAML' and 'maml' too."""
    place = run.folder / "config.yaml"
    if run.folder != run.named or not place.is_file():
        return
    try:
        name = config.read(place).get("name")
    except MetatlError:  # damaged: it is written again
        return
    if isinstance(name, str) and name != run.experiment.name:
        raise MetatlError(
            f"{run.folder} holds the run of '{name}', and '{run.experiment.name}' would share its folder; "
            "give this one another name"
        )


def check_inputs(run: Run, kinds: Sequence[str]) -> None:
    """Raise MetatlError naming what changed since the run in this directory was learned.

    A run that was learned before inputs were written down tells none, and is taken as it is.
    """
    told = store.read_json(facts_file(run)) if facts_file(run).is_file() else {}
    before = told.get("inputs", {}) if isinstance(told, dict) else {}
    changed = name.changed(before, run.inputs, kinds) if isinstance(before, Mapping) else []
    if changed:
        raise MetatlError(
            f"{run.folder} was learned before {', '.join(changed)} changed; put that back, or run "
            f"{run.folder}/config.yaml again, which is another run now"
        )
