"""A classifier of pictures with scikit-learn's verbs: fit, predict, predict_proba, score."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metatl.data.images import as_seen
from metatl.data.photos import PhotoFiles
from metatl.transferring.backbone import backbone
from metatl.transferring.choose import chosen, surely
from metatl.transferring.features import forward
from metatl.transferring.fit import Labelled, fit
from metatl.transferring.judging import Scale
from metatl.transferring.model import SavedModel, Transferred, saved_model
from metatl.transferring.open_model import open_model
from metatl.transferring.rows import REFERENCES, rows
from metatl.types import MetatlError


class Classifier:
    """One way of transferring a pre-trained net to pictures.

    Pictures are paths, PIL images, or arrays [n, h, w] (grey) or [n, h, w, 3 or 4] (colour), uint8 or floats
    from 0 to 1. Labels are strings, integers or booleans.

    Args:
        net: name of a pre-trained net, or run directory, as in `metatl transfer --net`.
        method: row of the table, as `metatl methods` lists them.
        size: of pictures in pixels, instead of the net's own.
        seed: of what is drawn at random.
    """

    def __init__(
        self,
        net: str | Path = "efficientnet_lite0",
        method: str = REFERENCES[0],
        size: int | None = None,
        seed: int = 0,
    ) -> None:
        self.net, self.method, self.size, self.seed = net, method, size, seed
        self._model: SavedModel | None = None

    def fit(self, X: Any, y: Sequence[Any]) -> Classifier:
        """Fit to pictures and labels; values are chosen by cross-validation among them.

        Raises MetatlError for numbers that differ, one class only, and pictures that cannot be read.
        """
        row = rows([self.method])[self.method]
        if row.learner is not None:
            raise MetatlError(f"method {self.method!r} learns on a source first; use metatl.transfer")
        net = backbone(self.net, self.size)
        given = np.asarray(y)
        classes, labels = np.unique(given, return_inverse=True)
        x = _stacked(X, net.preparation)
        if len(x) != len(given) or given.ndim != 1 or len(classes) < 2:
            raise MetatlError(
                f"fit: {len(x)} pictures, labels of shape {given.shape} with {len(classes)} classes; give "
                "one label a picture and two classes or more"
            )
        order = _rounds(labels)
        x, target = x[order], torch.from_numpy(labels.astype(np.int64))[order]
        labelled = Labelled(forward(net.body(), x), target, lambda: x, len(classes), self.seed)
        choice = surely(chosen(row, net, [labelled])[0])
        fitted = fit(choice.row, net, labelled)
        made = {"method": self.method, "selected": choice.selected, "seed": self.seed, **net.facts}
        made["labels"] = classes.dtype.kind
        told = "classes", tuple(map(str, classes.tolist())), PhotoFiles()
        self._model = saved_model(net, fitted, Scale.of(target), told, made)
        self.classes_ = classes
        return self

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities [n, classes], in the order of `classes_`."""
        model = self.model
        return model.probabilities(_stacked(X, model.preparation)).numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of every picture."""
        places = self.predict_proba(X).argmax(1)
        return self.classes_[places]

    def score(self, X: Any, y: Sequence[Any]) -> float:
        """Share of pictures whose label is predicted rightly."""
        return float((self.predict(X) == np.asarray(y)).mean())

    @property
    def model(self) -> SavedModel:
        """What `fit` made; raises MetatlError before."""
        if self._model is None:
            raise MetatlError("this classifier is not fitted; call fit(pictures, labels) first")
        return self._model

    def to_module(self) -> Transferred:
        """A plain nn.Module: prepared pictures [n, c, h, w] -> outputs, whose softmax is predict_proba's."""
        return self.model.module

    def save(self, folder: str | Path) -> None:
        """Write the model folder that `metatl predict` and `Classifier.load` open."""
        self.model.save(folder)

    @staticmethod
    def load(folder: str | Path, own: str | None = None, trust: bool = False) -> Classifier:
        """The classifier of a model folder, without its training pictures; own, trust: see `open_model`."""
        model = open_model(folder, own, trust)
        made = model.made
        found = Classifier(
            str(made.get("net")), str(made.get("method")), model.preparation.size, int(made.get("seed", 0))
        )
        found._model = model
        found.classes_ = _labels(model.names, str(made.get("labels", "U")))
        return found


def _labels(names: tuple[str, ...], kind: str) -> NDArray[Any]:
    """Labels of the kind that they were given in: integers, booleans, else strings."""
    if kind in "iu":
        return np.array([int(name) for name in names])
    return np.array([name == "True" for name in names]) if kind == "b" else np.array(names)


def _rounds(labels: NDArray[Any]) -> Tensor:
    """The rows round by round over the classes, so that every batch is balanced."""
    turn = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        turn[own] = np.arange(len(own))
    return torch.from_numpy(np.lexsort((labels, turn)))


def _stacked(X: Any, prepare: Any) -> Tensor:
    """Pictures of any kind, prepared, [n, c, h, w]."""
    if isinstance(X, str | Path | Image.Image):
        raise MetatlError("give a list of pictures, or an array [n, h, w, channels]; this is one picture")
    pictures = X.detach().cpu().numpy() if isinstance(X, Tensor) else X
    if len(pictures) == 0:
        raise MetatlError("there are no pictures; give one or more")
    return torch.stack([prepare(_picture(one, i)) for i, one in enumerate(pictures)])


def _picture(one: Any, place: int) -> Image.Image:
    if isinstance(one, str | Path | Image.Image):
        return as_seen(one, str(one) if not isinstance(one, Image.Image) else f"picture {place}")
    pixels = np.asarray(one)
    if pixels.dtype.kind == "f" and pixels.size and float(pixels.min()) >= 0 and float(pixels.max()) <= 1:
        pixels = np.rint(255 * pixels).astype(np.uint8)
    flat = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in (3, 4))
    if pixels.dtype != np.uint8 or not flat:
        raise MetatlError(
            f"picture {place} is {pixels.dtype} of shape {pixels.shape}; give [h, w] or [h, w, 3], uint8 or "
            "floats from 0 to 1"
        )
    return as_seen(Image.fromarray(pixels), f"picture {place}")
