"""Values of an experiment that mean nothing: refused before any work, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, cast

import torch

from metatl.lab.experiment import Experiment
from metatl.types import MetatlError

_LEAST = {
    "steps": 0,
    "multi_step": 0,
    "meta_batch": 1,
    "scouts": 1,
    "batch_size": 1,
    "record_every": 1,
    "validate_every": 0,
}
"""The least that a number of this name may be, in an experiment and in its learner."""
_POSITIVE = ("clip", "outlier")
_SEEDS = 2**63 // 1_000_003 - 1
"""Every step has a seed of its own: seed * 1,000,003 + step."""


def check_values(experiment: Experiment) -> None:
    """Raise MetatlError naming the first value that means nothing."""
    _check_given(experiment, "")
    if not experiment.name.strip() or len(experiment.name) > 100:
        raise MetatlError(f"name is {experiment.name[:100]!r}; give the method a name of 1 to 100 characters")
    for key, seed in (("seed", experiment.seed), ("evaluation.seed", experiment.evaluation.seed)):
        if abs(seed) > _SEEDS:
            raise MetatlError(f"{key} is {seed}; give a number from -{_SEEDS} to {_SEEDS}")
    if "\0" in (experiment.start or ""):
        raise MetatlError(f"start is {experiment.start!r}; give the path of a config")
    _check_numbers(experiment, "")
    _check_numbers(experiment.learner, "learner.")
    if experiment.evaluation.tasks.query < 1:
        raise MetatlError("evaluation.tasks.query is 0: a score needs at least one query example a class")
    _check_device(experiment.device)


def _check_given(value: Any, where: str) -> None:
    """The parser takes null for every value; most of them cannot be left open."""
    for field in dataclasses.fields(value) if dataclasses.is_dataclass(value) else ():
        inner, kind = getattr(value, field.name), str(field.type)
        if inner is None and "None" not in kind and "Any" not in kind:
            raise MetatlError(f"{where}{field.name} is null; leave it out for its default, or give a value")
        items = inner if isinstance(inner, tuple) else ()
        for key, item in ((field.name, inner), *((f"{field.name}.{i}", one) for i, one in enumerate(items))):
            _check_given(item, f"{where}{key}.")


def _check_numbers(value: Any, where: str) -> None:
    for field in dataclasses.fields(value) if dataclasses.is_dataclass(value) else ():
        number, least = getattr(value, field.name), _LEAST.get(field.name)
        if least is not None and isinstance(number, int) and number < least:
            raise MetatlError(f"{where}{field.name} is {number}; give {least} or more")
        if field.name in _POSITIVE and isinstance(number, int | float) and not number > 0:
            raise MetatlError(f"{where}{field.name} is {number}; give a number above 0")


def _check_device(name: str) -> None:
    try:
        there = torch.device(name).type != "meta"  # which has no values
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError, NotImplementedError, ValueError) as error:
        raise MetatlError(f"device {name!r} is not to be had here; use --device cpu") from error
    if not there:
        raise MetatlError(f"device {name!r} holds no values; use --device cpu")


def flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """A nested description as one level of dotted names; what is None is left out."""
    if isinstance(value, Mapping):
        found: dict[str, Any] = {}
        for key, item in cast(Mapping[str, Any], value).items():
            inner = prefix if key == "init_args" else f"{prefix}.{key}".strip(".")
            found |= flat(item, inner)
        return found
    if isinstance(value, list):
        return {prefix: str(cast(list[Any], value))}
    return {} if value is None else {prefix: value}
