"""Learning on a source, step by step within its share of the minutes, and going on where it stopped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from metatl.data.source import Tasks
from metatl.engines import Loop
from metatl.lab import store
from metatl.lab.describe import describe
from metatl.lab.experiment import with_value
from metatl.lab.record.console import Console
from metatl.learners import Learner, State
from metatl.net import Net
from metatl.train import Checkpoints, check_finite, train
from metatl.transferring.backbone import Backbone
from metatl.transferring.budget import Budget
from metatl.transferring.source import SourceRows, SourceTasks, source_tasks
from metatl.types import Metrics, Transfer


@dataclass
class Learning:
    """What learners of one command have in common.

    folder: where what they learn lies; refused: by row, why its learner raised a MetatlError.
    """

    net: Backbone
    source: SourceRows
    folder: Path
    budget: Budget
    seed: int
    refused: dict[str, str] = field(default_factory=dict[str, str])

    def place(self, learner: Learner) -> Path:
        """Where a learner's transfer lies: named by net, source, learner and seed."""
        said = json.dumps([describe(learner), self.net.key, self.source.key, self.seed], sort_keys=True)
        return self.folder / f"{hashlib.sha256(said.encode()).hexdigest()[:16]}.safetensors"

    @cached_property
    def tasks(self) -> SourceTasks:
        """The source's rows, read once."""
        return source_tasks(self.source, self.net)


def learn_on(work: Learning, learner: Learner, name: str, seconds: float) -> tuple[Transfer, dict[str, Any]]:
    """What the learner learns in as many of its steps as fit into these seconds, one at least; and facts.

    Interrupted, its state stays in the folder. Facts: steps done and asked for, seconds, remarks,
    unreadable rows. Raises MetatlError where the source cannot serve, and where the learning diverges.
    """
    place, data = work.place(learner), work.tasks
    store.make_folder(place.parent)
    checkpoints = Checkpoints(place.with_suffix(".ckpt")).of(place.stem)
    learner, smaller = fitting(learner, data)
    made = Net.of(work.net.module, work.net.head, work.net.example())
    net = made.with_outputs(learner.outputs(data))
    start = net.start()
    learner.check(net, start, data)
    state, spent = checkpoints.resume() or (learner.init(net, start), 0.0)
    watch = _SourceWatch(learner, checkpoints, work.budget, seconds, work.budget.gone - spent, state, name)
    try:
        if not watch.over():
            train(learner, net, Loop(), state, data, work.seed, [watch])
    except _OutOfTimeError:
        pass
    except KeyboardInterrupt:
        checkpoints.now(watch.state, watch.seconds)
        raise
    finally:
        watch.bar.close()
    facts = {
        "done": watch.state.step,
        "steps": learner.steps,
        "seconds": round(watch.seconds, 3),
        "remarks": [said for said in (smaller, learner.remark(watch.state)) if said],
        "unreadable": list(data.unreadable),
    }
    return learner.finish(net, watch.state), facts


class _OutOfTimeError(Exception):
    """The next step would end after the learner's share of the minutes."""


class _SourceWatch:
    """After every step: whether there is time for another one, the bar, and now and then a checkpoint."""

    def __init__(
        self,
        learner: Learner,
        checkpoints: Checkpoints,
        budget: Budget,
        limit: float,
        began: float,
        state: State,
        name: str,
    ) -> None:
        self.steps, self.checkpoints, self.budget, self.limit = learner.steps, checkpoints, budget, limit
        self.began, self.state = began, state
        self.bar = Console(learner.steps, state.step, label=f"{name}, source", unit="step")

    @property
    def seconds(self) -> float:
        """Spent on this learner by all commands."""
        return self.budget.gone - self.began

    def over(self) -> bool:
        """Whether another step like those so far would be too long."""
        return self.state.step > 0 and self.seconds * (1 + 1 / self.state.step) > self.limit

    def __call__(self, state: State, metrics: Metrics) -> None:
        """Raise _OutOfTimeError at the end of the time; MetatlError where the learning has diverged."""
        check_finite(state, metrics)
        self.state = state
        self.bar.tick(state.step)
        if state.step < self.steps and self.over():
            raise _OutOfTimeError
        if self.checkpoints.due():
            self.checkpoints.now(state, self.seconds)


def fitting(learner: Learner, data: SourceTasks) -> tuple[Learner, str]:
    """The learner with tasks that the source can give, and what is smaller: classes, or rows of each.

    Tasks of clusters are pairs of them.
    """
    tasks = getattr(learner, "tasks", None)
    if not isinstance(tasks, Tasks):
        return learner, ""
    name, least = data.places.banks["meta_train"].smallest
    asked = tasks.one
    classes = data.classes("meta_train")
    way, query = min(asked.way, 2 if data.clusters else classes), min(asked.query, least // 2)
    shot = min(asked.shot, least - query)
    for key, value in {"way": way, "shot": shot, "query": query}.items():
        learner = with_value(learner, f"tasks.{key}", value)
    if (way, shot, query) == asked:
        return learner, ""
    what, pairs = ("clusters", ", of which tasks are pairs,") if data.clusters else ("classes", ",")
    said = f"tasks of {way} {what} with {shot} + {query} {data.unit}s each instead of {tasks.way} with "
    return learner, (
        f"{said}{tasks.shot} + {tasks.query}: the source has {classes} {what}{pairs} and "
        f"{least} {data.unit}s of {name!r}"
    )
