"""Learning an experiment's transfer: resumed if begun, loaded if complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
import yaml

from metatl import adapt, processes
from metatl.capture import cuda_graph
from metatl.evaluation.evaluate import evaluate, to_device
from metatl.lab import config, record, store
from metatl.lab.run import alike, precision, shared
from metatl.lab.run.curves import judged, kind
from metatl.lab.run.folder import complete, facts_file, own_transfer, report_folder, reported
from metatl.lab.run.origin import note_learning
from metatl.lab.run.prepare import Run
from metatl.lab.run.sayings import sayings
from metatl.lab.run.told import VERSION, damaged, facts
from metatl.learners.learner import State
from metatl.net import Net
from metatl.order_of_use import weights_in_order
from metatl.train import Checkpoints, check_finite, train
from metatl.transforms import transformed
from metatl.types import MetatlError, Metrics, Transfer


def learn(run: Run) -> tuple[Transfer, float]:
    """The learned transfer and the seconds it took, starts included: loaded if complete, resumed if begun."""
    alike.check_work("learning", run.digest)
    device = run.experiment.device
    found = shared.learned(_finished(run) if processes.writer() else None, device)
    if found is not None:
        return found
    start, before = (run.first, 0.0) if run.start is None else _started(run, run.start)
    with store.locked(run.folder) as check_held, precision.products(run.experiment):
        transfer, seconds, remark = _learn(run, start, check_held)
        check_held()
        store.save_transfer(run.learned, transfer, {"digest": run.digest})
        spent = {"version": VERSION, "seconds": seconds, "before": before, "remark": remark}
        store.write_json(facts_file(run), spent | sayings(run, transfer))
    return shared.transfer(transfer, device), before + seconds


def _started(run: Run, start: Run) -> tuple[Transfer, float]:
    """What the start learned, gone through the run's own transforms, and the seconds it took."""
    transfer, before = learn(start)
    return transformed(run.experiment.transforms, run.untransformed, transfer)[1], before


def _finished(run: Run) -> tuple[Transfer, float] | None:
    """What was learned, and its seconds, starts included, if the run is complete."""
    if not complete(run):
        return None
    found = own_transfer(run)
    adapt.check_finite(found, f"{run.learned}: ")
    return found, _seconds(run)


def _seconds(run: Run) -> float:
    """What `learned.json` says; of the first days it says nothing of the starts, which may have gone."""
    told = facts(run.folder)
    try:
        before = told.get("before")
        if before is None:
            before = _seconds(run.start) if run.start is not None and facts_file(run.start).is_file() else 0.0
        return float(told["seconds"]) + float(before)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise damaged(run.folder) from error


def write_config(run: Run) -> None:
    """Write the resolved config into the run directory."""
    # The start is found from the run directory's own config too, wherever that is read from.
    start = run.experiment.start and str(Path(run.experiment.start).absolute())
    text = yaml.safe_dump({**run.described, "start": start}, sort_keys=False)
    store.write_text(run.folder / "config.yaml", text)


def _learn(run: Run, start: Transfer, check_held: Callable[[], None]) -> tuple[Transfer, float, str]:
    experiment, learner = run.experiment, run.experiment.learner
    net = run.net.with_outputs(learner.outputs(run.data))
    if report_folder(run) == run.folder and not reported(run):  # a report's config says how it was taken
        write_config(run)
    checkpoints = Checkpoints(run.folder / "last.ckpt").of(run.digest)
    kept = shared.state(checkpoints.resume() if processes.writer() else None)
    note_learning(run, resumed=kept is not None)
    state, spent = kept or (learner.init(net, start), 0.0)
    state = State(to_device(state.transfer, experiment.device), state.step, _on(state, experiment.device))
    began = time.perf_counter() - spent
    with record.recording(run.folder, experiment.name, state.step, learner.steps) as recorder:
        if state.step == 0:
            recorder.text("config", f"```\n{config.dump(experiment)}\n```", 0)
        watch = _Watch(run, net, recorder, checkpoints, began, state, check_held)
        try:
            state = train(
                learner,
                precision.passes(experiment, net, state, learner.draw(run.data, experiment.seed, 0)),
                run.engine,
                state,
                run.data,
                experiment.seed,
                [watch],
                cuda_graph if experiment.capture and experiment.device.startswith("cuda") else None,
            )
        except (KeyboardInterrupt, processes.LostError):
            watch.save()
            raise
        transfer = learner.finish(net, state)
        if experiment.guide is not None:
            transfer = replace(transfer, guide=net.held(experiment.guide(net, transfer)))
        seconds = time.perf_counter() - began
        if processes.writer() and any(bool((entry != 1).any()) for entry in transfer.guide.values()):
            by_depth = {name: transfer.guide[name] for name in weights_in_order(net, transfer.params)}
            record.record_guide(recorder, replace(transfer, guide=by_depth), state.step)
    return transfer, seconds, learner.remark(state)


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
        check_held: Callable[[], None],
    ) -> None:
        self.check_held, self.remark = check_held, ""
        self.run, self.net, self.recorder, self.checkpoints = run, net, recorder, checkpoints
        self.began, self.state, self.metrics = began, state, Metrics()
        self.last = (state.step, time.perf_counter())

    def __call__(self, state: State, metrics: Metrics) -> None:
        """Behind every step: first what is recorded, then the state that may be checkpointed."""
        experiment, steps = self.run.experiment, self.run.experiment.learner.steps
        last = state.step == steps
        self.recorder.tick(state.step)
        if last or state.step % experiment.record_every == 0:
            self.check_held()
            check_finite(state, metrics)
            self.recorder.scalars(state.step, self._values(state, metrics))
            remark = experiment.learner.remark(state)
            if remark != self.remark:
                self.remark = remark
                self.recorder.warn(remark, state.step)
        if experiment.validate_every and (last or state.step % experiment.validate_every == 0):
            self.recorder.scalars(state.step, self._validated(state))
        self.state, self.metrics = state, metrics
        if self.checkpoints.due():
            self.save()

    def save(self) -> None:
        """Write the state after the last step, if it is finite and the directory is still ours."""
        self.check_held()
        check_finite(self.state, self.metrics)
        try:
            self.recorder.flush()
            self.checkpoints.now(self.state, time.perf_counter() - self.began)
        except MetatlError:
            self.check_held()  # which may be why, and is then said instead
            raise

    def _values(self, state: State, metrics: Metrics) -> dict[str, float]:
        before, then = self.last
        self.last = (state.step, time.perf_counter())
        said = kind(self.run)
        values = {f"meta_train/{n.replace('score', said)}": v for n, v in record.floats(metrics).items()}
        values["time/step_ms"] = 1000.0 * (self.last[1] - then) / (state.step - before)
        values["memory/peak_mib"] = record.peak_mib(self.run.experiment.device)
        return values

    def _validated(self, state: State) -> dict[str, float]:
        run, asked = self.run, self.run.experiment
        transfer = shared.transfer(asked.learner.finish(self.net, state), asked.device)
        way, episodes = asked.adaptation, asked.evaluation
        found = evaluate(self.net, transfer, way, run.data, episodes, run.engine, split="meta_val")
        values = record.interval(f"meta_val/{judged(run)}", found.mean, found.ci95)
        if lost := len(found.diverged):
            values["meta_val/diverged"] = lost
            self.recorder.warn(f"{lost} of {len(found.scores)} meta_val episodes diverge", state.step)
        return values
