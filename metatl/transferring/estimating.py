"""What Classifier and Regressor share: scikit-learn's verbs around one way of transferring."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metatl.data.examples import Examples, Inputs
from metatl.data.given import Known, given
from metatl.data.table_rows import TableReader
from metatl.data.targets import Kind, Targets
from metatl.transferring.backbone import backbone
from metatl.transferring.features import BATCH
from metatl.transferring.input_errors import InputError, as_value_error, not_fitted
from metatl.transferring.model import SavedModel, Transferred
from metatl.transferring.one_way import OneWay, fit_one
from metatl.transferring.open_model import open_model
from metatl.transferring.predict import prepared
from metatl.transferring.prepared import check_reads, warn_of
from metatl.types import MetatlError

Told = Callable[[SavedModel, Any], Tensor]
"""What a model says of prepared rows."""


class TransferEstimator(ABC):
    """One way of transferring to pictures, texts, windows or columns (see `metatl.data.given`).

    Missing values of columns are filled in. A model is fitted to rows that count alike: there are no weights
    of rows.

    Args:
        net: as in `metatl transfer --net`; None for the usual one of pictures or texts, of columns none.
        method: row of the table, as `metatl methods` lists them; None for logistic regression, or ridge
            where the targets are none for it.
        size: of pictures in pixels, instead of the net's own.
        seed: of what is drawn at random.
        source: rows and targets (X, y) of other data with the same columns, on which a net is learned first.
        labelled: rows of each class (of labels and real values: rows) that are used, drawn at random; None
            for all.
        values: of the method, `{"solver.l2": 0.1}` say, in place of those that cross-validation would choose.
    """

    kinds: tuple[Kind, ...]

    def __init__(
        self,
        net: str | Path | None = None,
        method: str | None = None,
        size: int | None = None,
        seed: int = 0,
        source: tuple[Any, Any] | None = None,
        labelled: int | None = None,
        values: Mapping[str, Any] | None = None,
    ) -> None:
        self.net, self.method, self.size, self.seed = net, method, size, seed
        self.source, self.labelled, self.values = source, labelled, values

    @abstractmethod
    def _targets(self, y: Any) -> tuple[Targets, dict[str, Any]]:
        """Targets, and plain facts of how they were given."""

    @abstractmethod
    def predict(self, X: Any) -> NDArray[Any]:
        """What is said of every row."""

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to rows and targets; values are chosen by cross-validation among them.

        Raises MetatlError (a ValueError too) in one line for numbers that differ, targets from which nothing
        can be learned, and rows that cannot be read.
        """
        with as_value_error():
            way = OneWay(self.method, self.size, self.seed, self.labelled, self.values)
            way.rows  # noqa: B018 - a method that is none is said before a net is opened
            net = None if self.net is None else backbone(self.net, self.size)
            known = Known(net.preparation.unit if net is not None else None)
            examples, told = self._examples(X, y, known)
            source = None if self.source is None else self._examples(*self.source, known)[0]
            model = fit_one(way, net, examples, source)
        self._take(replace(model, made={**model.made, **told}))
        return self

    def _examples(self, x: Any, y: Any, known: Known) -> tuple[Examples, dict[str, Any]]:
        inputs, reader = given(x, known)
        warn_of(() if inputs.columns is None else inputs.columns.notes)
        targets, told = self._targets(y)
        if len(inputs) != len(targets.values):
            raise MetatlError(
                f"fit: {len(inputs)} {inputs.unit}s and {len(targets.values)} targets; give one target each"
            )
        if len(inputs) < 2:
            raise MetatlError(f"fit: 1 sample ({inputs.unit}); give two or more")
        whole, none = np.arange(len(inputs)), np.zeros(0, np.int64)
        if inputs.columns is not None:
            told |= {"named": hasattr(x, "columns")}
        return Examples("data", reader, inputs, targets, whole, none, "test"), told

    def _take(self, model: SavedModel) -> None:
        """Predict by this model from now on."""
        self._model, names = model, _columns(model)
        for name in ("n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                delattr(self, name)
        if names is not None:
            self.n_features_in_ = len(names)
        if names is not None and model.made.get("named", True):
            self.feature_names_in_ = np.array(names, object)

    def _outputs(self, x: Any, told: Told = SavedModel.outputs) -> Tensor:
        """[n, outputs] for rows, or what else the model says; MetatlError for one that cannot be read."""
        with as_value_error():
            model = self.model
            unit = model.preparation.unit
            inputs, _ = given(x, Known(unit, _columns(model), getattr(model.reader, "formats", {})))
            check_reads(model.preparation, inputs)
            return torch.cat([_batch(model, inputs, first, told) for first in range(0, len(inputs), BATCH)])

    @property
    def model(self) -> SavedModel:
        """What `fit` made; raises MetatlError (scikit-learn's NotFittedError too) before."""
        if not self.__sklearn_is_fitted__():
            raise not_fitted(f"this {type(self).__name__} is not fitted; call fit(X, y) first")
        return self._model

    def to_module(self) -> Transferred:
        """A plain nn.Module: prepared rows [n, ...] -> outputs; classes by softmax, labels by sigmoid.

        `model.preparation` prepares rows. What trees and neighbours fitted has no gradient.
        """
        return self.model.module

    def save(self, folder: str | Path) -> None:
        """Write the model folder that `metatl predict` and `load` open."""
        self.model.save(folder)

    @classmethod
    def load(cls, folder: str | Path, own: str | None = None, trust: bool = False) -> Self:
        """The fitted estimator of a model folder, without its rows; own, trust: see `open_model`."""
        model = open_model(folder, own, trust)
        if model.kind not in cls.kinds:
            raise MetatlError(f"{folder} predicts {model.kind}, which is nothing for a {cls.__name__}")
        made = model.made
        net = None if model.recipe.get("kind") == "bare" else str(made.get("net"))
        found = cls(net, made.get("method"), getattr(model.preparation, "size", None), made.get("seed", 0))
        found._take(model)
        return found

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What the estimator was made with, by name."""
        return {name: getattr(self, name) for name in _names(type(self))}

    def set_params(self, **params: Any) -> Self:
        """Replace some of it; raises MetatlError (a ValueError too) for a name that is none."""
        known = _names(type(self))
        for name, value in params.items():
            if name not in known:
                raise InputError(f"{type(self).__name__} has no parameter {name!r}: {', '.join(known)}")
            setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        """What it was made with, where that is not the default."""
        plain = inspect.signature(type(self)).parameters
        held = {name: v for name, v in self.get_params().items() if v is not plain[name].default}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in held.items())})"

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is something to predict with."""
        return hasattr(self, "_model")


def _batch(model: SavedModel, inputs: Inputs, first: int, told: Told) -> Tensor:
    def refuse(why: str) -> None:
        raise MetatlError(why)

    places = list(range(first, min(first + BATCH, len(inputs))))
    return told(model, prepared(model, inputs, places, refuse)[1])


def _columns(model: SavedModel) -> tuple[str, ...] | None:
    """The columns of the rows that it was fitted to; None where a row is none of a table."""
    reader = model.reader
    if not isinstance(reader, TableReader) or not reader.formats or reader.audio is not None:
        return None
    return tuple(name for name in reader.formats if name not in reader.left_out)


def _names(of: type[TransferEstimator]) -> list[str]:
    return list(inspect.signature(of).parameters)
