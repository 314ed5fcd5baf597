"""An experiment: data, model, learner, evaluation, as values."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from torch import nn

from metatl.adapt import Adaptation, Descent
from metatl.data.source import Source
from metatl.engines.batched import Batched
from metatl.engines.engine import Engine
from metatl.evaluation.evaluate import Evaluation
from metatl.guides.guide import TransferGuide
from metatl.learners.keep import Keep
from metatl.learners.learner import Learner
from metatl.text import near
from metatl.transforms import Transform
from metatl.types import MetatlError

ModelMaker = Callable[[tuple[int, ...], int], nn.Module]
"""(shape of one example, outputs) -> module."""
MOST = 500
"""Combinations of values that `select` may try."""


@dataclass(frozen=True)
class Experiment:
    """Data, model, what is learned, and how it is evaluated.

    Args:
        name: of the method, as tables print it.
        data: where episodes and batches come from.
        model: any nn.Module class that takes (shape, outputs, ...).
        learner: what is learned; Keep learns nothing.
        start: config of the experiment whose transfer this one starts from, its transforms included; run if
            it is not complete.
        transforms: applied to the net and the start, one after the other, before anything is learned.
        guide: made from the learned transfer before it is used.
        adaptation: how an episode's support set is used; values without a class_path are Descent's.
        evaluation: the episodes.
        select: grid of adaptation values, chosen on meta-val, e.g. {"rule.lr": [0.1, 0.3], "steps": [5, 20]}.
        engine: how tasks are run.
        head: dotted name of the output layer; the last nn.Linear for None.
        family: group in tables and plots.
        seed: of the weights and of everything drawn in learning.
        device: cpu, cuda, cuda:1, ...
        precision: of the arithmetic: float32; tf32 for the products of a GPU; bf16 for the passes of
            meta-training, if the first meta-gradient then has a cosine above 0.99 with the float32 one.
        capture: on a CUDA device, whole steps as one CUDA graph where learner, data and engine allow it.
        runs: folder of the run directories.
        record_every: steps between two records.
        validate_every: steps between two looks at meta-val while learning; 0 for none.
    """

    name: str
    data: Source
    model: ModelMaker
    learner: Learner = Keep()
    start: str | None = None
    transforms: tuple[Transform, ...] = ()
    guide: TransferGuide | None = None
    adaptation: Adaptation = Descent()
    evaluation: Evaluation = Evaluation()
    select: dict[str, list[Any]] | None = None
    engine: Engine = Batched()
    head: str | None = None
    family: str = "other"
    seed: int = 0
    device: str = "cpu"
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    capture: bool = True
    runs: str = "runs"
    record_every: int = 20
    validate_every: int = 0


def with_value(value: Any, path: str, new: Any) -> Any:
    """A copy of nested frozen dataclasses and tuples with one field replaced: "rule.lr", "terms.0.alpha"."""
    key, _, rest = path.partition(".")
    if isinstance(value, tuple) and key.isdigit() and int(key) < len(value):
        items = list(value)
        if not rest and not dataclasses.is_dataclass(new):
            raise MetatlError(
                f"select: '{key}' does not take {_shown(new)}; name a number, terms.1.alpha say"
            )
        items[int(key)] = with_value(items[int(key)], rest, new) if rest else new
        return tuple(items)
    if isinstance(value, Mapping):  # options of an estimator, which alone knows what it takes
        inner = with_value(value.get(key), rest, new) if rest else new
        return {**cast(Mapping[str, Any], value), key: inner}
    fields = [field.name for field in dataclasses.fields(value)] if dataclasses.is_dataclass(value) else []
    if key not in fields:
        raise MetatlError(f"select: {type(value).__name__} has no field '{key}'{near(key, fields)}")
    old = getattr(value, key)
    alike = type(new) is type(old) or (isinstance(old, float) and type(new) is int)
    if not rest and isinstance(old, bool | int | float | str) and not alike:
        raise MetatlError(f"select: '{key}' takes {type(old).__name__} values; {_shown(new)} is none")
    one, other = (dataclasses.is_dataclass(item) or isinstance(item, tuple) for item in (old, new))
    if not rest and (one != other if old is not None else not (other or type(new) in (int, type(None)))):
        raise MetatlError(f"select: '{key}' does not take {_shown(new)}; name a number, rule.lr say")
    inner = with_value(old, rest, new) if rest else new
    return dataclasses.replace(value, **{key: inner})  # pyright: ignore[reportArgumentType]


def _shown(value: Any) -> str:
    """A value in a refusal: a class by its name alone."""
    path = value.get("class_path") if isinstance(value, Mapping) else getattr(value, "class_path", None)
    return repr(value) if path is None else str(path).rpartition(".")[2]


def candidates(experiment: Experiment) -> list[tuple[dict[str, Any], Adaptation]]:
    """Every combination of the selection grid with its adaptation; a single empty one without a grid."""
    grid = experiment.select or {}
    for key, values in grid.items():
        if not values:
            raise MetatlError(f"select: '{key}' has no values; give a list")
    if math.prod(map(len, grid.values())) > MOST:
        raise MetatlError(f"select: more than {MOST} combinations of values; give fewer")
    found: list[tuple[dict[str, Any], Adaptation]] = []
    for combination in itertools.product(*grid.values()):
        adaptation = experiment.adaptation
        for path, value in zip(grid, combination, strict=True):
            adaptation = with_value(adaptation, path, value)
        found.append((dict(zip(grid, combination, strict=True)), adaptation))
    return found
