"""Running an experiment: learn (resuming), choose rates on meta-val, evaluate on meta-test once.

Run directory, `<runs>/<name>/<digest>-s<seed>/`: config.yaml (resolved), provenance.json, metrics.jsonl,
TensorBoard event files, last.ckpt, transfer.safetensors, report.json, episodes.npy. The digest is taken over
what is learned (data, model, learner, guide, start), so evaluating in another way learns nothing again.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from metatl import config, record, store
from metatl.data.source import Data, Source
from metatl.engines.engine import task
from metatl.evaluate import Report, check_adaptation, evaluate, predictions, to_device
from metatl.experiment import Experiment, candidates
from metatl.learners.learner import State
from metatl.net import Net
from metatl.provenance import now, provenance
from metatl.train import Checkpoints, check_finite, train
from metatl.types import MetatlError, Metrics, Transfer


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


@functools.lru_cache(maxsize=4)
def _loaded(source: Source, device: str) -> Data:
    return source.load(device)


def prepare(experiment: Experiment, overrides: Sequence[str] = ()) -> Run:
    """Check everything that can be checked before any work, and build the net.

    Raises MetatlError when data, learner, start, adaptation or device do not fit each other.
    """
    _check_device(experiment.device)
    data = _loaded(experiment.data, experiment.device)
    before = config.start_of(experiment, overrides)
    start = prepare(before, overrides) if before is not None else None
    outputs = experiment.learner.outputs(data)
    net, own = _built(experiment, data, outputs)
    first = own if start is None else _fitting(own, start.first, net, str(experiment.start))
    experiment.learner.check(net, first, data)
    data.check("meta_test", experiment.evaluation.tasks)
    for _, adaptation in candidates(experiment):
        check_adaptation(net, first, adaptation, data, experiment.evaluation.tasks)
    if experiment.select:
        data.check("meta_val", experiment.evaluation.tasks)
    described = config.describe(experiment)
    keys = ("data", "model", "learner", "guide", "head", "seed")
    digest = config.digest({key: described[key] for key in keys} | {"start": start and start.digest})
    place = re.sub(r"[^A-Za-z0-9_.+-]+", "-", experiment.name).strip("-") or "experiment"
    folder = Path(experiment.runs) / place / f"{digest}-s{experiment.seed}"
    return Run(experiment, folder, net, data, first, start, digest)


def _check_device(name: str) -> None:
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise MetatlError(f"device '{name}' is not to be had here; use --device cpu") from error


def _built(experiment: Experiment, data: Data, outputs: int) -> tuple[Net, Transfer]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(experiment.seed)
        try:
            module = experiment.model(data.shape, outputs)
        except (TypeError, ValueError, RuntimeError) as error:
            raise MetatlError(
                f"the model cannot be built for examples of shape {data.shape}: {error}"
            ) from error
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
        line = str(error).splitlines()[0]
        raise MetatlError(f"the model does not take examples of shape {data.shape}: {line}") from error
    return net, transfer


def _fitting(own: Transfer, start: Transfer, net: Net, where: str) -> Transfer:
    """The start's weights, once names and shapes are those of the model (rows of the output layer apart)."""
    for name in [*own.params, *start.params]:
        if name not in own.params or name not in start.params:
            side = "the start" if name not in start.params else "this config's model"
            raise MetatlError(f"start {where} does not fit the model: {side} has no weight '{name}'")
        mine, theirs = own.params[name].shape, start.params[name].shape
        if mine != theirs and not net.is_head(name):
            raise MetatlError(
                f"start {where} does not fit the model: weight '{name}' is {list(theirs)} there "
                f"and {list(mine)} here"
            )
    return start


def learn(run: Run) -> tuple[Transfer, float]:
    """The learned transfer and the seconds it took, starts included: loaded if complete, resumed if begun."""
    before = 0.0
    start = run.first
    if run.start is not None:
        start, before = learn(run.start)
    facts = run.folder / "learned.json"
    if run.learned.is_file() and facts.is_file():
        seconds = float(store.read_json(facts)["seconds"])
        return to_device(store.load_transfer(run.learned), run.experiment.device), before + seconds
    with store.locked(run.folder):
        transfer, seconds = _learn(run, start)
        store.save_transfer(run.learned, transfer, {"digest": run.digest})
        store.write_json(facts, {"seconds": seconds})
    return transfer, before + seconds


def _describe(run: Run) -> None:
    described = config.describe(run.experiment)
    # The start is found from the run directory's own config too, wherever that is read from.
    described["start"] = run.experiment.start and str(Path(run.experiment.start).absolute())
    store.write_text(run.folder / "config.yaml", yaml.safe_dump(described, sort_keys=False))
    store.write_json(run.folder / "provenance.json", provenance(run.experiment.device))


def _learn(run: Run, start: Transfer) -> tuple[Transfer, float]:
    experiment, learner = run.experiment, run.experiment.learner
    net = run.net.with_outputs(learner.outputs(run.data))
    _describe(run)
    checkpoints = Checkpoints(run.folder / "last.ckpt")
    state, spent = checkpoints.resume() or (learner.init(net, start), 0.0)
    state = State(to_device(state.transfer, experiment.device), state.step, _on(state, experiment.device))
    began = time.perf_counter() - spent
    with record.recording(run.folder, experiment.name, state.step, learner.steps) as recorder:
        if state.step == 0:
            recorder.text("config", f"```\n{config.dump(experiment)}\n```", 0)
        watch = _Watch(run, net, recorder, checkpoints, began, state)
        try:
            state = train(learner, net, experiment.engine, state, run.data, experiment.seed, [watch])
        except KeyboardInterrupt:
            checkpoints.now(watch.state, time.perf_counter() - began)
            raise
        transfer = learner.finish(net, state)
        if experiment.guide is not None:
            transfer = Transfer(transfer.params, experiment.guide(net, transfer), transfer.buffers)
        seconds = time.perf_counter() - began
        if any(bool((entry != 1).any()) for entry in transfer.guide.values()):
            record.record_guide(recorder, transfer, state.step)
    return transfer, seconds


def _on(state: State, device: str) -> dict[str, dict[str, torch.Tensor]]:
    return {role: {n: t.to(device) for n, t in tensors.items()} for role, tensors in state.memory.items()}


class _Watch:
    """What happens between the steps of a run: records, looks at meta-val, checkpoints."""

    def __init__(
        self,
        run: Run,
        net: Net,
        recorder: record.Recorder,
        checkpoints: Checkpoints,
        began: float,
        state: State,
    ) -> None:
        self.run, self.net, self.recorder, self.checkpoints = run, net, recorder, checkpoints
        self.began, self.state, self.last = began, state, (state.step, time.perf_counter())

    def __call__(self, state: State, metrics: Metrics) -> None:
        """Behind every step: first what is recorded, then the state that may be checkpointed."""
        experiment, steps = self.run.experiment, self.run.experiment.learner.steps
        last = state.step == steps
        self.recorder.tick(state.step)
        if last or state.step % experiment.record_every == 0:
            check_finite(state, metrics)
            self.recorder.scalars(state.step, self._values(state, metrics))
        if experiment.validate_every and (last or state.step % experiment.validate_every == 0):
            self.recorder.scalars(state.step, self._validated(state))
        self.state = state
        if self.checkpoints.due():
            check_finite(state, metrics)
            self.recorder.flush()
            self.checkpoints.now(state, time.perf_counter() - self.began)

    def _values(self, state: State, metrics: Metrics) -> dict[str, float]:
        before, then = self.last
        self.last = (state.step, time.perf_counter())
        kind = _kind(self.run)
        values = {f"meta_train/{n.replace('score', kind)}": v for n, v in record.floats(metrics).items()}
        values["time/step_ms"] = 1000.0 * (self.last[1] - then) / (state.step - before)
        values["memory/peak_mib"] = record.peak_mib(self.run.experiment.device)
        return values

    def _validated(self, state: State) -> dict[str, float]:
        transfer = self.run.experiment.learner.finish(self.net, state)
        found = _one(self.run, transfer, self.run.experiment.adaptation, "meta_val", None)
        return record.interval(f"meta_val/{_kind(self.run)}", found.mean, found.ci95)


def _kind(run: Run) -> str:
    return "accuracy" if run.data.kind == "classification" else "mse"


def report(run: Run, beside: bool = False) -> Report:
    """The experiment's report: loaded if it is there for these very values, made if not.

    beside: keep it under `evaluations/` and leave the run's own report as it is.
    """
    described = config.describe(run.experiment)
    keys = ("adaptation", "evaluation", "select")
    wanted = config.digest({key: described[key] for key in keys} | {"learned": run.digest})
    folder = run.folder / "evaluations" / wanted if beside else run.folder
    if (folder / "report.json").is_file():
        found = store.load_report(folder)
        if found.facts.get("evaluation") == wanted:
            return found
    transfer, seconds = learn(run)
    with store.locked(run.folder):
        if not beside:
            _describe(run)
        made = _evaluated(run, transfer, seconds, wanted)
        store.save_report(folder, made)
    return made


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
        experiment.engine,
        method=experiment.name,
        split=split,
        progress=progress,
    )


def _picture(run: Run, transfer: Transfer, adaptation: Any, made: Report) -> None:
    experiment, tasks = run.experiment, run.experiment.evaluation.tasks
    behind = experiment.learner.steps + 1
    with record.tensorboard(run.folder, experiment.learner.steps) as recorder:
        episode = task(run.data.draw("meta_test", tasks, experiment.evaluation.seed, 0, 1), 0)
        output, _ = predictions(run.net.with_outputs(made.protocol["way"]), transfer, adaptation, episode)
        if run.data.kind == "classification" and len(run.data.shape) == 3:
            recorder.episode("meta_test/episode", episode, output.argmax(-1), behind)
        values = {f"meta_test/{_kind(run)}": made.mean, "meta_test/ci95": made.ci95}
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
