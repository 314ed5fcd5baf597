"""Whole tasks sampled by somebody else as episodes."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, final

import numpy as np
import torch

from metatl import tree
from metatl.data.checked import as_inputs, as_targets
from metatl.data.counter import number
from metatl.data.source import SPLITS, Data, Kind, Tasks
from metatl.types import Batch, Episode, MetatlError, Split

_TASK, _FIXED = 301, 302


@final
class TasksetData(Data):
    """Tasksets by split; y of a task's rows becomes 0 .. way - 1 in the order of its labels.

    Rows of other targets (real values, several labels, a label 0 .. way - 1 a pixel) are taken as they come:
    the first `shot` are the support, the next `query` the query rows.
    """

    def __init__(self, name: str, tasksets: Mapping[Split, Any], device: torch.device) -> None:
        self.name, self.tasksets, self.device = name, tasksets, device
        example = self._sampled("meta_train", 0, 0)
        self.shape = tuple(example.x.shape[1:])
        kinds: dict[Any, Kind] = {torch.bool: "multilabel", torch.int64: "classification"}
        self.kind: Kind = kinds.get(example.y.dtype, "regression")
        self._targets = 0 if self.kind == "classification" else example.y.shape[1]

    def outputs(self, tasks: Tasks) -> int:
        """A unit for each class, or for each regression target or label."""
        return self._targets or tasks.one.way

    def classes(self, split: Split) -> int:
        """None: the labels of a task are its own."""
        return 0

    def check(self, split: Split, tasks: Tasks) -> None:
        """Raise MetatlError when a task of the split has other classes, or fewer rows, than the episode."""
        tasks.check(self.name)
        self._episode(split, tasks, 0, 0)

    def draw(self, split: Split, tasks: Tasks, seed: int, first: int, count: int) -> Episode:
        """Episodes first .. first + count - 1, sampled one by one; raises MetatlError as `check`."""
        tasks.check(self.name)
        drawn = [self._episode(split, tasks, seed, index) for index in range(first, first + count)]
        return tree.apply(lambda leaf: leaf.to(self.device), tree.gather(drawn, torch.stack))

    def fingerprint(self, split: Split, tasks: Tasks, seed: int, count: int) -> str:
        """Of the very examples of episodes 0 .. count - 1."""
        digest = hashlib.sha256(repr((self.name, split, tasks)).encode())
        for index in range(count):
            for part in self._episode(split, tasks, seed, index):
                for tensor in tree.leaves(part):
                    digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    def batch(self, split: Split, size: int, seed: int, step: int) -> Batch:
        """Rows of a task, labelled as in that task: what examples look like, but no classes to learn."""
        task = self._sampled(split, seed, step)
        rows = torch.arange(size) % len(task.x)
        return Batch(task.x[rows].to(self.device), task.y[rows].to(self.device))

    def describe(self) -> dict[str, Any]:
        """Name and shape."""
        return {"name": self.name, "shape": list(self.shape), "kind": self.kind}

    def _sampled(self, split: Split, seed: int, index: int) -> Batch:
        taskset, place = self.tasksets[split], SPLITS.index(split)
        sample: Callable[[], Any] = taskset.sample
        key, fixed = number(_TASK, seed, place, index), int(getattr(taskset, "num_tasks", -1))
        if fixed > 0 and hasattr(taskset, "__getitem__"):
            # A fixed task stays what it was first sampled as: its own number seeds that, not the episode's.
            chosen = key % fixed
            key = number(_FIXED, place, chosen)
            sample = functools.partial(taskset.__getitem__, chosen)
        with seeded(key), torch.no_grad():
            return _rows(sample(), self.name)

    def _episode(self, split: Split, tasks: Tasks, seed: int, index: int) -> Episode:
        task, both = self._sampled(split, seed, index), tasks.one.shot + tasks.one.query
        if task.y.dim() > 1:
            low, high = int(task.y.min()), int(task.y.max())
            if self.kind == "classification" and not 0 <= low <= high < tasks.one.way:
                raise MetatlError(
                    f"{self.name}: a task of {split} has labels {low} to {high} of pixels, but way is "
                    f"{tasks.one.way}: number them 0 to {tasks.one.way - 1}"
                )
            self._check_rows(split, "a task", len(task.x), both)
            return _cut(task, tasks.one.shot, both)
        labels, y = task.y.unique(return_inverse=True)
        if len(labels) != tasks.one.way:
            raise MetatlError(
                f"{self.name}: a task of {split} has {len(labels)} classes, but way is "
                f"{tasks.one.way}: make them equal"
            )
        counts = y.bincount()
        self._check_rows(split, "a class of a task", int(counts.min()), both)
        # Round by round: row k of every class, then row k + 1.
        rounds = torch.arange(both)[:, None] + counts.cumsum(0) - counts
        order = y.argsort(stable=True)[rounds.reshape(-1)]
        return _cut(Batch(task.x[order], y[order]), tasks.one.shot * tasks.one.way, both * tasks.one.way)

    def _check_rows(self, split: Split, what: str, rows: int, needed: int) -> None:
        if rows < needed:
            raise MetatlError(
                f"{self.name}: {what} of {split} has {rows} rows, but shot + query is {needed}; sample more "
                "in the taskset, or lower them"
            )


def _cut(task: Batch, first: int, last: int) -> Episode:
    support, query = slice(0, first), slice(first, last)
    return Episode(Batch(task.x[support], task.y[support]), Batch(task.x[query], task.y[query]))


def _rows(sampled: Any, name: str) -> Batch:
    """A sampled task: x as `checked.as_inputs`, y as `checked.as_targets` but with labels as they are."""
    try:
        given, labels = sampled
        x, y = torch.as_tensor(given), torch.as_tensor(labels)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MetatlError(f"{name}: a sampled task is no pair (x, y) of arrays ({error})") from error
    if x.dim() < 2 or y.dim() < 1 or len(x) != len(y) or not len(x):
        raise MetatlError(
            f"{name}: a task has x {list(x.shape)} and y {list(y.shape)}; they need [n, ...] and [n], n > 0"
        )
    targets, classes = as_targets(y.reshape(len(y), -1) if y.is_floating_point() else y, f"{name}: ")
    if classes is not None:  # numbered as the task does
        targets = y.long().reshape(targets.shape)
    return Batch(as_inputs(x, f"{name}: "), targets)


@contextmanager
def seeded(key: int) -> Generator[None]:
    """Python's, numpy's and torch's (CPU) generators seeded from a key, and restored afterwards."""
    kept, kept_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the one that tasksets use
    with torch.random.fork_rng(devices=[]):
        random.seed(key)
        np.random.seed(key % 2**32)  # noqa: NPY002
        torch.default_generator.manual_seed(key % 2**63)
        try:
            yield
        finally:
            random.setstate(kept)
            np.random.set_state(kept_numpy)  # noqa: NPY002
