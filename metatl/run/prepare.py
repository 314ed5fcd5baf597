"""An experiment made ready: everything checked that can be checked before any work."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metatl import config, processes
from metatl.data.source import Data, Source
from metatl.engines.engine import Engine
from metatl.engines.split import Split
from metatl.evaluate import check_adaptation
from metatl.experiment import Experiment, candidates
from metatl.net import Net
from metatl.run.values import check_values
from metatl.types import MetatlError, Transfer

_LATER = {"skip_bad_tasks": False, "streams": {}, "smallest": 0, "channels": None}


@dataclass(frozen=True)
class Run:
    """An experiment made ready: checked, its net built, its place known."""

    experiment: Experiment
    folder: Path
    net: Net
    data: Data
    first: Transfer
    start: Run | None
    digest: str

    @property
    def learned(self) -> Path:
        """Where the transfer lies once it is learned."""
        return self.folder / "transfer.safetensors"

    @property
    def engine(self) -> Engine:
        """The experiment's engine, the tasks split where there are several processes."""
        engine = self.experiment.engine
        return Split(engine) if processes.world() > 1 else engine


@functools.lru_cache(maxsize=4)
def _loaded(source: Source, device: str) -> Data:
    with processes.one_first():
        return source.load(device)


def prepare(experiment: Experiment, overrides: Sequence[str] = (), above: tuple[str, ...] = ()) -> Run:
    """Check everything that can be checked before any work, and build the net.

    above: the starts that led here. Raises MetatlError when data, learner, start, adaptation or device do not
    fit each other, and when a start leads back to itself.
    """
    processes.take_card(experiment.device)
    check_values(experiment)
    if experiment.start is not None:
        where = str(Path(experiment.start).resolve())
        if where in above:
            raise MetatlError(
                f"start {experiment.start} leads back to itself; let one of its configs start afresh"
            )
        above = (*above, where)
    data = _loaded(experiment.data, experiment.device)
    before = config.start_of(experiment, overrides)
    start = prepare(*before, above) if before is not None else None
    outputs = experiment.learner.outputs(data)
    net, own = _built(experiment, data, outputs)
    first = own if start is None else _fitting(own, start, net, data, str(experiment.start))
    experiment.learner.check(net, first, data)
    data.check("meta_test", experiment.evaluation.tasks)
    for _, adaptation in candidates(experiment):
        check_adaptation(net, first, adaptation, data, experiment.evaluation.tasks)
    if experiment.select:
        data.check("meta_val", experiment.evaluation.tasks)
    described = config.describe(experiment)
    keys = ("data", "model", "learner", "guide", "head", "seed")
    learned = {key: described[key] for key in keys} | {"start": start and start.digest}
    learned |= {key: _without_later(described[key]) for key in ("data", "learner")}
    if experiment.precision != "float32":
        learned["precision"] = experiment.precision
    digest = config.digest(learned)
    place = re.sub(r"[^A-Za-z0-9_.+-]+", "-", experiment.name).strip("-.") or "experiment"
    folder = Path(experiment.runs) / place / f"{digest}-s{experiment.seed}"
    return Run(experiment, folder, net, data, first, start, digest)


def _without_later(part: dict[str, Any]) -> dict[str, Any]:
    """The description of data or a learner without fields that came later, at values that change nothing.

    So a run that was learned before them is found under its digest.
    """
    given = part.get("init_args", {})
    kept = {key: value for key, value in given.items() if not (key in _LATER and value == _LATER[key])}
    return {**part, "init_args": kept}


def _built(experiment: Experiment, data: Data, outputs: int) -> tuple[Net, Transfer]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of layers without weights, which are refused below
                module = experiment.model(data.shape, outputs)
        except (ArithmeticError, TypeError, ValueError, RuntimeError) as error:
            said = " ".join(str(error).split())
            raise MetatlError(
                f"the model cannot be built for examples of shape {data.shape}: {said}; mend its init_args"
            ) from error
    if not isinstance(module, nn.Module):
        raise MetatlError(f"the model is a {type(module).__name__}; name a class of torch modules")
    empty = next((name for name, leaf in module.named_parameters() if not leaf.numel()), None)
    if empty is not None:
        raise MetatlError(
            f"the model's weight {empty!r} has no entries; give its layers a width of 1 or more"
        )
    net = Net.of(module.to(experiment.device), experiment.head)
    transfer = net.start()
    try:
        x = (
            data.batch("meta_train", 2, 0, 0).x
            if data.kind == "classification"
            else torch.zeros(2, *data.shape)
        )
        with torch.no_grad():
            net(transfer.params, transfer.buffers, x.to(experiment.device))
    except (RuntimeError, ValueError, IndexError) as error:
        line = next(iter(str(error).splitlines()), type(error).__name__)
        raise MetatlError(f"the model does not take examples of shape {data.shape}: {line}") from error
    return net, transfer


def _fitting(own: Transfer, start: Run, net: Net, data: Data, where: str) -> Transfer:
    """The start's weights, once names and shapes are those of the model (rows of the output layer apart).

    Its data may be others: a net that was trained on digits starts on characters.
    """
    first = start.first
    seen = ""
    if start.data.shape != data.shape:
        seen = f" (examples are {list(start.data.shape)} there and {list(data.shape)} here)"
    for name in [*own.params, *first.params]:
        if name not in own.params or name not in first.params:
            side = "the start" if name not in first.params else "this config's model"
            raise MetatlError(f"start {where} does not fit the model: {side} has no weight '{name}'")
        mine, theirs = own.params[name].shape, first.params[name].shape
        rows = int(net.is_head(name))  # an output layer may have other rows, but not other inputs
        if mine[rows:] != theirs[rows:]:
            raise MetatlError(
                f"start {where} does not fit the model: weight '{name}' is {list(theirs)} there "
                f"and {list(mine)} here{seen}; give both the same model and examples of one shape"
            )
    return first


def kind(run: Run) -> str:
    """What a score of the run's data is."""
    return "accuracy" if run.data.kind == "classification" else "mse"
