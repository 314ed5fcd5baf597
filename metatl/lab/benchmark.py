"""Many experiments on the same episodes: one table, one plot, one JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unicodedata import normalize

from metatl.evaluation import compare
from metatl.evaluation.evaluate import Report
from metatl.lab import config, provenance, record, render, store
from metatl.lab.render.reports import benchmark_page
from metatl.lab.run import Run, check_inputs, on_other_data, opened, own_report, prepare, report, told
from metatl.lab.run.curves import judged
from metatl.types import MetatlError


@dataclass(frozen=True)
class Outcome:
    """What a benchmark found: a row a method, the protocol they share, and the table for a terminal.

    groups: a row a method over people, hospitals or whatever the tasks are; empty where they are no groups.
    """

    rows: list[compare.Row]
    protocol: dict[str, object]
    table: str
    groups: list[compare.Row]


def benchmark(
    paths: Sequence[Path],
    overrides: Sequence[str] = (),
    out: Path | None = None,
    reference: str | None = None,
    no_transfer: str | None = None,
) -> Outcome:
    """Run or load each experiment, evaluate all on the same episodes, write table, report and plot.

    reference: the method that differences are paired with, `fine-tune` where there is one; no_transfer: the
    method that says which episodes were harmed, `scratch` where there is one. Every config is checked before
    any work.
    """
    runs = [prepare(config.load(path, overrides), overrides) for path in paths]
    _check_names(runs, paths)
    _check_same_episodes(runs)
    for name in (reference, no_transfer):
        if name is not None and name not in [run.experiment.name for run in runs]:
            names = ", ".join(run.experiment.name for run in runs)
            raise MetatlError(f"no config is named {name} to compare with; there are: {names}")
    if out is not None:
        store.make_folder(out)
    reports: list[Report] = []
    with record.bar("benchmark", len(runs), unit="method") as bar:
        for done, run in enumerate(runs):
            reports.append(report(run))
            bar(done + 1)
    return outcome(reports, out, reference, no_transfer, _groups(runs[0]))


def outcome(
    reports: Sequence[Report],
    out: Path | None,
    reference: str | None,
    no_transfer: str | None,
    groups: Sequence[Any] | None = None,
) -> Outcome:
    """The table of finished reports, written to `out` where given; groups [episodes]: whose each is."""
    reports = sorted(reports, key=lambda found: -reports[0].score.sign * found.mean)
    names = [found.method for found in reports]
    to = reference or ("fine-tune" if "fine-tune" in names else names[0])
    floor = no_transfer or ("scratch" if "scratch" in names else None)
    rows = compare.rows(reports, to, floor)
    protocol = compare.protocol(reports, to, floor)
    whose = [] if groups is None else compare.by_group(reports, groups, floor or to)
    text = render.markdown(rows, protocol) + render.calibrated_markdown(rows)
    shown = render.console(rows, protocol) + render.calibrated_console(rows)
    if whose:
        text += "\n" + render.groups_markdown(whose, floor or to)
        shown += "\n\n" + render.groups_console(whose)
    if out is not None:
        store.write_text(out / "table.md", text)
        said = {"protocol": protocol, "rows": rows}
        store.write_json(out / "report.json", said | ({"groups": whose} if whose else {}))
        store.write_atomic(out / "plot.png", render.png(render.benchmark_plot(rows, protocol)))
        scores = {found.method: found.scores for found in reports}
        page = benchmark_page(rows, protocol, scores, provenance.command(), whose)
        store.write_text(out / "report.html", page)
    return Outcome(rows, protocol, shown, whose)


def _groups(run: Run) -> list[Any] | None:
    """Whose every episode of meta_test is; None where tasks are no groups."""
    asked = run.experiment.evaluation
    found = [run.data.group("meta_test", i, asked.seed, asked.tasks) for i in range(asked.episodes)]
    return None if found[0] is None else found


def _check_names(runs: Sequence[Run], paths: Sequence[Path]) -> None:
    """Methods are told apart by their names, and their run directories by what file systems make of those."""
    seen: dict[str, tuple[str, Path]] = {}
    for run, path in zip(runs, paths, strict=True):
        name = run.experiment.name
        folder, looks = run.named.parent.name.casefold(), normalize("NFKC", name).casefold()
        for other, before in (seen[key] for key in (folder, looks) if key in seen):
            if name == other:
                raise MetatlError(f"{path} and {before} are both named '{name}'; give each its own name")
            raise MetatlError(
                f"{path} and {before} are named '{name}' and '{other}', which look alike or share a folder; "
                "give each a name that differs in plain letters or digits"
            )
        seen |= dict.fromkeys((folder, looks), (name, path))


def _check_same_episodes(runs: Sequence[Run]) -> None:
    """What a table compares must be taken on the same episodes; said before any work."""
    first = runs[0]
    for run in runs:
        for what, mine, theirs in (
            ("data", run.data.describe(), first.data.describe()),
            ("evaluation.tasks", run.experiment.evaluation.tasks, first.experiment.evaluation.tasks),
            ("evaluation.seed", run.experiment.evaluation.seed, first.experiment.evaluation.seed),
            ("evaluation.score", judged(run), judged(first)),
            ("evaluation.episodes", run.experiment.evaluation.episodes, first.experiment.evaluation.episodes),
        ):
            if mine != theirs:
                raise MetatlError(
                    f"{run.experiment.name} and {first.experiment.name} differ in {what}, so their "
                    "episodes are not the same; give both one protocol, on the command line say"
                )


def find_config(folder: Path) -> Path:
    """The resolved config of a run directory; raises MetatlError for a folder that is not one."""
    path = folder / "config.yaml"
    if not path.is_file():
        raise MetatlError(f"{folder} is not a run directory (it has no config.yaml); name one under runs/")
    return path


def run_of(folder: Path, overrides: Sequence[str] = ()) -> Run:
    """The run that a run directory holds, wherever that was moved to, with overrides.

    Overrides of `data` name what it is evaluated on in place of its own data. Raises MetatlError for a folder
    that is none, for overrides that would be another run, and where a class or a weights file that it was
    learned with has changed.
    """
    finished = told(folder)
    values = config.read(find_config(folder))
    if finished is not None:
        values = store.placed(values, finished.kept)
        begun = config.parse({**values, "transforms": finished.described}, (), str(folder))
        finished = replace(finished, transforms=begun.transforms)
    experiment = config.parse(values, (), str(folder))
    try:
        own = prepare(experiment, told=finished)
    except MetatlError as error:  # which speaks of a value; here that stands in a file
        raise MetatlError(f"{folder}: {error}") from error
    _, kept = config.parted("data", overrides)
    run = prepare(config.parse(values, kept, str(folder)), kept, told=finished)
    if run.digest != own.digest:
        raise MetatlError(
            f"these overrides change what is learned; give them to 'metatl run {folder}/config.yaml'"
        )
    run = opened(run, folder)
    return on_other_data(run, config.parse(values, overrides, str(folder)).data)


def evaluated(run: Run) -> Report:
    """A finished run under the protocol its overrides give, kept beside the run's own report.

    Raises MetatlError where its data has changed since it was learned.
    """
    if run.other is None:
        check_inputs(run, ("content",))
    return report(run, beside=True)


def compared(folders: Sequence[Path]) -> str:
    """The paired differences of finished runs to the first of them, as a table for a terminal."""
    reports = [own_report(folder) for folder in folders]
    names = [found.method for found in reports]
    if len(set(names)) < len(names):
        # Two runs of one method (seeds, say) are told apart by their folders.
        reports = [
            replace(found, method=f"{found.method}:{folder.name}")
            for found, folder in zip(reports, folders, strict=True)
        ]
    return render.console(compare.differences(reports), compare.protocol(reports, reports[0].method, None))
