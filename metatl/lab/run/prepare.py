"""An experiment made ready: everything checked that can be checked before any work."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metatl import processes
from metatl.data.source import Data, Source
from metatl.engines.engine import Engine
from metatl.engines.split import Split
from metatl.evaluation import scores
from metatl.evaluation.evaluate import check_adaptation
from metatl.evaluation.intervals import check_sure
from metatl.lab import config, store
from metatl.lab.experiment import Experiment, candidates
from metatl.lab.run import alike
from metatl.lab.run import name as naming
from metatl.lab.run.build import fitting, passed, rebuilt
from metatl.lab.run.loaded import load_data
from metatl.lab.run.told import Told
from metatl.lab.run.values import check_values
from metatl.net import Net
from metatl.transforms import Transform, outlined, transformed
from metatl.types import Labels, MetatlError, Transfer


@dataclass(frozen=True)
class Run:
    """An experiment made ready: checked, its net built, its place known.

    untransformed: the net before the experiment's own transforms; transforms: those of its starts, and then
    its own, which `net` and `first` have gone through.
    inputs: what its name says beside the config (see `name`); other: data that it is evaluated on in place of
    its own; told: what its directory says of it, where it was opened as a finished one.
    """

    experiment: Experiment
    folder: Path
    net: Net
    data: Data
    first: Transfer
    start: Run | None
    digest: str
    untransformed: Net
    transforms: tuple[Transform, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    other: Data | None = None
    told: Told | None = None

    @property
    def described(self) -> dict[str, Any]:
        """The experiment as plain values, files by the names that they had when it was learned."""
        return _described(self.experiment, self.kept)

    @property
    def kept(self) -> Mapping[str, str]:
        """Copies of files that have gone, by the names that values give them."""
        return {} if self.told is None else self.told.kept

    @property
    def numbering(self) -> Labels | None:
        """What the rows of the output layer that it carries stand for; None where nothing taught them."""
        own = self.experiment.learner.numbering(self.data)
        return own if own is not None or self.start is None else self.start.numbering

    @property
    def named(self) -> Path:
        """The run directory by its name, wherever `folder` was moved to."""
        name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", self.experiment.name).strip("-.") or "experiment"
        return Path(self.experiment.runs) / name / f"{self.digest}-s{self.experiment.seed}"

    @property
    def learned(self) -> Path:
        """Where the transfer lies once it is learned."""
        return self.folder / "transfer.safetensors"

    @property
    def tested(self) -> Data:
        """The data whose meta_test it is evaluated on."""
        return self.data if self.other is None else self.other

    @property
    def engine(self) -> Engine:
        """The experiment's engine, the tasks split where there are several processes."""
        engine = self.experiment.engine
        return Split(engine) if processes.world() > 1 else engine


def prepare(
    experiment: Experiment,
    overrides: Sequence[str] = (),
    above: tuple[str, ...] = (),
    told: Told | None = None,
) -> Run:
    """Check everything that can be checked before any work, and build the net.

    above: the starts that led here; told: what a finished run directory says of itself, which then needs no
    start. Raises MetatlError when data, learner, start, adaptation or device do not fit each other, when a
    start leads back to itself, and when the processes of a job have other values, data or versions.
    """
    processes.take_card(experiment.device)
    check_values(experiment)
    described = _described(experiment, told.kept if told is not None else {})
    alike.check_values(described, told)
    if experiment.start is not None:
        where = str(Path(experiment.start).resolve())
        if where in above:
            raise MetatlError(
                f"start {experiment.start} leads back to itself; let one of its configs start afresh"
            )
        above = (*above, where)
    data = load_data(experiment.data, experiment.device)
    found = naming.inputs(described, experiment.data, data, told and told.kept)
    alike.check_data(data, found)
    before = None if told is not None and told.whole else config.start_of(experiment, overrides)
    start = prepare(*before, above) if before is not None else None
    alone = experiment.adaptation.reads_support and not experiment.learner.steps
    outputs = data.outputs(experiment.evaluation.tasks) if alone else experiment.learner.outputs(data)
    net, first = rebuilt(experiment, data, outputs, told and told.folder)
    carried = start.transforms if start is not None else told.transforms if told is not None else ()
    net, first = outlined(carried, net, first)
    if start is not None:
        first = fitting(first, start.first, net, (start.data.shape, data.shape), experiment.start)
    untransformed = net
    change = transformed if start is None and told is None else outlined
    net, first = change(experiment.transforms, net, first)
    if told is None:
        experiment.learner.check(net, first, data)
    if experiment.select:
        data.check("meta_val", experiment.evaluation.tasks)
    begun = start.digest if start is not None else told.start if told is not None else None
    digest = naming.learned(
        described if told is None else told.named(described, found),
        begun,
        experiment.precision,
        found if told is None else told.inputs,
    )
    transforms = (*carried, *experiment.transforms)
    made = Run(
        experiment, Path(), net, data, first, start, digest, untransformed, transforms, found, told=told
    )
    check_evaluation(made, data)
    return replace(made, folder=made.named)


def _described(experiment: Experiment, kept: Mapping[str, str]) -> dict[str, Any]:
    return store.renamed(config.describe(experiment), {path: name for name, path in kept.items()})


def check_evaluation(run: Run, data: Data) -> None:
    """Raise MetatlError where the data's meta_test or the output layer does not fit the evaluation."""
    tasks = run.experiment.evaluation.tasks
    data.check("meta_test", tasks)
    scores.of_data(data, run.experiment.evaluation.score)
    for _, adaptation in candidates(run.experiment):
        if run.experiment.evaluation.calibrated:
            check_sure(adaptation, data)
        check_adaptation(run.net, run.first, adaptation, data, tasks)
        if adaptation.carries and run.numbering == "shared" and data.numbering(tasks) == "own":
            raise MetatlError(
                "the output layer that is carried has learned classes that are the same for all, and every "
                "episode numbers its own; choose adaptation.head Zeros, Prototypes or Ridge, or (where "
                "episodes have all classes) evaluation.tasks.subsets enumerated"
            )


def on_other_data(run: Run, source: Source) -> Run:
    """The run, to be evaluated on meta_test of other data; values are still chosen on its own meta_val.

    Raises MetatlError for data that the net does not take, and for the run's own files divided anew, whose
    meta_test may hold what was learned from.
    """
    own, device = run.experiment.data, run.experiment.device
    alike.check_source(source)
    if source == own:
        return run
    if type(source) is type(own) and not own.embedded and _paths(source) == _paths(own):
        raise MetatlError(
            "these values of `data` read the run's own files in another way, so that meta_test may hold what "
            "was learned from; name other data"
        )
    data = load_data(source, device)
    alike.check_data(data, {})
    if data.kind != run.data.kind:
        raise MetatlError(f"{data.name} is {data.kind}, and the run learned {run.data.kind}; name other data")
    check_evaluation(run, data)
    passed(run.net, run.first, run.experiment, data)
    return replace(run, experiment=replace(run.experiment, data=source), other=data)


def _paths(source: Source) -> list[str]:
    return list(store.strings(config.describe(source)["init_args"]))
