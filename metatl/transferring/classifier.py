"""Classes, or several labels at once, with scikit-learn's verbs: fit, predict, predict_proba, score."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from metatl.adapt import check_outputs
from metatl.data.given_targets import as_given, class_targets
from metatl.data.targets import Targets
from metatl.transferring.estimating import TransferEstimator
from metatl.transferring.input_errors import InputError, as_value_error
from metatl.transferring.model import SavedModel


@final
class Classifier(TransferEstimator):
    """One way of transferring to classes of any kind [n], or to several labels [n, k].

    Rows, parameters and errors: see `TransferEstimator`. Attributes after `fit`: `classes_`, in the kind
    that they were given in, or the names of the labels; of columns `n_features_in_`, and
    `feature_names_in_` where they have names.
    """

    kinds = ("classes", "labels")

    def _targets(self, y: Any) -> tuple[Targets, dict[str, Any]]:
        targets, classes = class_targets(y)
        of = classes.dtype if targets.kind == "classes" else np.asarray(y).dtype
        return targets, {"labels": of.kind, "names": classes.dtype.kind}

    def _take(self, model: SavedModel) -> None:
        super()._take(model)
        made = model.made
        self.classes_ = _labels(model.names, str(made.get("names", made.get("labels", "U"))))

    def predict_proba(self, X: Any) -> NDArray[np.float32]:
        """Probabilities [n, classes], in the order of `classes_`; of several labels of each, [n, labels]."""
        outputs = self._outputs(X)
        with as_value_error():
            check_outputs(outputs, self.model.reader.unit)
        return self.model.shares(outputs).numpy()

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of every row [n]; of labels [n, labels] those more probable than not."""
        shares = self.predict_proba(X)
        if self.model.kind == "classes":
            return self.classes_[shares.argmax(1)]
        kind = str(self.model.made.get("labels", "b"))
        return (shares >= 0.5).astype(bool if kind == "b" else float if kind == "f" else int)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Share of rows whose class, or all labels, are predicted correctly.

        Raises MetatlError (a ValueError too) for y of another shape, and for words beside numbers.
        """
        found = self.predict(X)
        with as_value_error():
            true = as_given(y)
        true = true[:, 0] if found.ndim == 1 and true.shape[1:] == (1,) else true  # as `fit` takes it
        if found.shape != true.shape:
            raise InputError(f"score: y is {list(true.shape)}, and predictions are {list(found.shape)}")
        if (found.dtype.kind in "iufb") != (true.dtype.kind in "iufb"):
            given, own = (part.reshape(-1)[:1].tolist() for part in (true, found))
            raise InputError(f"score: y holds {given[0]!r}, and classes are {own[0]!r}; give one kind")
        right = found == true
        return float(np.average(right if right.ndim == 1 else right.all(1), weights=sample_weight))

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn wants to know."""
        from metatl.transferring.tags import tags

        return tags("classifier")


def _labels(names: tuple[str, ...], kind: str) -> NDArray[Any]:
    """Labels of the kind that they were given in: numbers, booleans, else strings."""
    if kind in "iu":
        return np.array([int(name) for name in names])
    if kind == "f":
        return np.array([float(name) for name in names])
    return np.array([name == "True" for name in names]) if kind == "b" else np.array(names)
