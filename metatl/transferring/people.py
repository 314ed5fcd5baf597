"""`metatl transfer --adapt-to group`: a net learned on some people is adapted to the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from metatl import importing
from metatl.data import GroupData, Source
from metatl.evaluation.evaluate import Report
from metatl.lab import benchmark, config, store
from metatl.lab.describe import describe, merged
from metatl.lab.run import own_report, prepare
from metatl.norm import has_batch_norm
from metatl.text import near
from metatl.transferring.opened import Words
from metatl.transferring.people_source import Before, people_of
from metatl.types import MetatlError

FOLDER = Path(__file__).parent.parent / "rows" / "people"
FLOOR, REFERENCE = "no-adaptation", "fine-tuning"
"""The row that says who is harmed, and the one that differences are paired with."""
LABELLED, QUERIES = "1,5", 15
"""Labels of each class where none are asked for; rows of each that judge, at most."""


@dataclass(frozen=True)
class Personalised:
    """What was found: by number of labels the benchmark; the folder; the run whose adaptation chose best.

    left_out: what could not be used; notes: what was decided on the way; a line each.
    """

    by_labels: Mapping[int, benchmark.Outcome]
    folder: Path
    best: Path
    left_out: tuple[str, ...]
    notes: tuple[str, ...] = ()


def methods(chosen: Sequence[str] | None) -> list[str]:
    """Rows by name, those that others are compared with among them; MetatlError for one that is none."""
    known = sorted(path.stem for path in FOLDER.glob("*.yaml"))
    for name in chosen or ():
        if name not in known:
            raise MetatlError(f"method {name!r} adapts to no group{near(name, known, len(known))}")
    return known if chosen is None else [n for n in known if n in {*chosen, FLOOR, REFERENCE}]


def personalised(
    data: str | Path,
    words: Words,
    labelled: str | Sequence[int | str] | None = None,
    draws: int = 10,
    chosen: Sequence[str] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    before: Before = Before(),
) -> Personalised:
    """Learn on some groups, choose values on others, adapt to the rest; every row on the same episodes.

    data: a table (of columns, sentences, or files that it lists), or an npz with windows [n, channels, time];
    labelled: rows of each class of a person; draws: of them, for each person; before: what is learned before
    people are seen. Writes the rows' configs, their runs, and for each number of labels a
    table, a report and a page into `out`. Raises MetatlError in one line for whatever cannot work.
    """
    asked = _asked(labelled)
    source, model, small = people_of(Path(data), words, asked, seed, before)
    loaded = cast(GroupData, source.load())
    net = importing.found(model["class_path"])(loaded.shape, len(loaded.labels), **model["init_args"])
    names = [name for name in methods(chosen) if has_batch_norm(net) or not _moments_alone(name)]
    counts, folder = _counts(asked, loaded), Path(out or Path("runs") / f"people-{Path(data).stem}")
    written = _written(folder, names, source, model, loaded, (counts[0], draws, seed))
    found: dict[int, benchmark.Outcome] = {}
    for k in counts:
        own = ["--evaluation.tasks.shot", str(k)]
        found[k] = benchmark.benchmark(written, own, folder / f"labelled-{k}", REFERENCE, FLOOR)
    why = f"lacks a class, or a second {words.apart or 'half'} with every class"
    left = [f"{one} ({why})" for one in loaded.describe()["left_out"]]
    said, best = loaded.describe(), _best(written, max(counts))
    seen = [f"rows are what {said['net']}, frozen, makes of them: {said['weights']}"] if "net" in said else []
    notes = (*seen, *said.get("notes", ()))
    return Personalised(found, folder, best, (*small, *said.get("unreadable", ()), *left), notes)


def _moments_alone(name: str) -> bool:
    """Whether a row takes no step: without a batch norm it is the floor."""
    return name != FLOOR and config.read(FOLDER / f"{name}.yaml").get("adaptation", {}).get("steps") == 0


def _asked(labelled: str | Sequence[int | str] | None) -> list[int]:
    """Numbers of labels of each class, smaller ones first; MetatlError for another word."""
    said = LABELLED if labelled is None else labelled
    words = said.split(",") if isinstance(said, str) else [str(one) for one in said]
    for word in words:
        if not word.strip().isdecimal() or int(word) < 1:
            raise MetatlError(f"labelled: {word.strip()!r} is no number of labels of a person; give 1,5 say")
    return sorted({int(word) for word in words})


def _counts(asked: Sequence[int], data: GroupData) -> list[int]:
    """Those numbers that everybody has who values are chosen on, or who is adapted to."""
    least = _least(data, "meta_val", "meta_test")
    if asked[0] > least:
        raise MetatlError(
            f"labelled: somebody has {least} rows of a class on one of two sides, which are fewer than "
            f"{asked[0]}; lower it"
        )
    return [k for k in asked if k <= least]


def _least(data: GroupData, *splits: Any) -> int:
    return min(data.groups[split].smallest[2] for split in splits)


def _written(
    folder: Path,
    names: Sequence[str],
    source: Source,
    model: Mapping[str, Any],
    data: GroupData,
    numbers: tuple[int, int, int],
) -> list[Path]:
    """The rows' configs, filled in: what `metatl benchmark` takes as well.

    numbers: of labels, of draws, and the seed.
    """
    shot, draws, seed = numbers
    people = {split: len(part.ids) for split, part in data.groups.items()}
    shared = {
        "data": describe(source),
        "model": dict(model),
        "seed": seed,
        "runs": str(folder / "runs"),
        "evaluation": {
            "tasks": {"shot": shot, "query": min(QUERIES, _least(data, "meta_val", "meta_test"))},
            "episodes": max(2, draws * people["meta_test"]),
            "select_episodes": max(1, draws * people["meta_val"]),
        },
    }
    found: dict[Path, Path] = {}
    for name in names:
        _write(FOLDER / f"{name}.yaml", folder / "configs" / f"{name}.yaml", shared, data, found)
    return [folder / "configs" / f"{name}.yaml" for name in names]


def _write(path: Path, to: Path, shared: Mapping[str, Any], data: GroupData, done: dict[Path, Path]) -> None:
    """One config and the starts that it names, each once."""
    if path.resolve() in done:
        return
    done[path.resolve()] = to
    values = merged(config.read(path), shared)
    tasks = values.get("learner", {}).get("init_args", {}).get("tasks")
    if tasks is not None:
        least = _least(data, "meta_train")
        tasks |= {key: min(tasks[key], least) for key in ("shot", "query") if key in tasks}
    if "start" in values:
        start = Path(values["start"])
        of = to.parent if to.parent.name == "start" else to.parent / "start"
        _write(start, of / start.name, shared, data, done)
        values["start"] = start.name if to.parent.name == "start" else f"start/{start.name}"
    store.make_folder(to.parent)
    store.write_text(to, yaml.safe_dump(values, sort_keys=False))


def _best(paths: Sequence[Path], k: int) -> Path:
    """The run whose adaptation was best on the people that values are chosen on."""
    own = ["--evaluation.tasks.shot", str(k)]
    runs = [prepare(config.load(path, own), own) for path in paths]
    reports = [(run, own_report(run.folder)) for run in runs if run.experiment.select]
    return max(reports, key=lambda one: _chosen(one[1]))[0].folder


def _chosen(report: Report) -> float:
    tried = [one["meta_val"] for one in report.facts["selection"] if one["meta_val"] is not None]
    return report.score.sign * max(report.score.sign * value for value in tried)
