"""scikit-learn's fitted trees, as forests of plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from metatl.adapt.estimators.forest import Array, Forest, Link, Nodes, joined
from metatl.adapt.neighbours import NearestNeighbours
from metatl.types import MetatlError


def forest(fitted: Any) -> Forest:
    """ExtraTrees and RandomForest, Classifier and Regressor: the mean over trees.

    Values of a leaf are shares of classes, or means. Raises MetatlError for several columns of classes.
    """
    classes = getattr(fitted, "classes_", None)
    if classes is not None and fitted.n_outputs_ > 1:
        raise MetatlError("a forest of several columns of labels is not saved; fit one for each")
    trees = [tree.tree_ for tree in fitted.estimators_]
    values = [tree.value[:, 0] if classes is not None else tree.value[:, :, 0] for tree in trees]
    if classes is not None:  # counts before scikit-learn 1.3
        values = [value / value.sum(1, keepdims=True) for value in values]
    parts = _nodes(trees)
    value = np.concatenate(values).astype(np.float64) / len(trees)
    start, width = np.zeros(value.shape[1]), int(fitted.n_features_in_)
    known = None if classes is None else classes.tolist()
    return Forest(*parts, value, start, width, known, single=True, flat=fitted.n_outputs_ == 1)


def _nodes(trees: Sequence[Any]) -> Nodes:
    """The nodes of scikit-learn's `tree_`s, one after another."""
    return joined(
        [tree.children_left for tree in trees],
        [tree.children_right for tree in trees],
        [tree.feature for tree in trees],
        [tree.threshold for tree in trees],
        [getattr(tree, "missing_go_to_left", np.zeros(tree.node_count)) for tree in trees],
    )


def boosted(fitted: Any) -> Forest:
    """HistGradientBoosting, Classifier and Regressor: a start and a sum over trees, then a link."""
    stages: list[list[Any]] = fitted._predictors
    nodes = [tree.nodes for stage in stages for tree in stage]
    if any(bool(node["is_categorical"].any()) for node in nodes):
        raise MetatlError("boosted trees that split categories are not saved; give them one-hot columns")
    start = np.asarray(fitted._baseline_prediction, np.float64).reshape(-1)
    outputs = [k for stage in stages for k in range(len(stage))]
    values = [np.zeros((len(node), len(start))) for node in nodes]
    for value, node, k in zip(values, nodes, outputs, strict=True):
        value[:, k] = node["value"]
    leaves = [node["is_leaf"].astype(np.bool_) for node in nodes]

    def child(side: str) -> list[Array]:
        found = zip(leaves, nodes, strict=True)
        return [np.where(leaf, -1, node[side].astype(np.int64)) for leaf, node in found]

    thresholds = [node["num_threshold"] for node in nodes]
    features = [node["feature_idx"] for node in nodes]
    missing = [node["missing_go_to_left"] for node in nodes]
    parts = joined(child("left"), child("right"), features, thresholds, missing)
    value = np.concatenate(values) if values else np.zeros((0, len(start)))
    classes = getattr(fitted, "classes_", None)
    known = None if classes is None else classes.tolist()
    return Forest(*parts, value, start, int(fitted.n_features_in_), known, _link(fitted, known), flat=True)


def gradient_boosted(fitted: Any) -> Forest:
    """GradientBoosting, Classifier and Regressor, from its own constant start: rate times a sum over trees.

    Raises MetatlError for a start that is an estimator of somebody's own.
    """
    if fitted.init is not None and not isinstance(fitted.init, str):
        raise MetatlError("gradient boosting that starts from an estimator is not saved; leave init out")
    width, (stages, outputs) = int(fitted.n_features_in_), fitted.estimators_.shape
    trees = [one.tree_ for one in fitted.estimators_.reshape(-1)]
    parts = _nodes(trees)
    value = np.zeros((len(parts[1]), outputs))
    at = np.repeat(np.tile(np.arange(outputs), stages), [tree.node_count for tree in trees])
    value[np.arange(len(at)), at] = np.concatenate([tree.value[:, 0, 0] for tree in trees])
    start = fitted._raw_predict_init(np.zeros((1, width), np.float32))[0].astype(np.float64)
    classes = getattr(fitted, "classes_", None)
    if classes is None:
        return Forest(*parts, fitted.learning_rate * value, start, width, single=True, flat=True)
    link: Link = "sigmoid" if outputs == 1 else "softmax"
    value = fitted.learning_rate * value
    return Forest(*parts, value, start, width, classes.tolist(), link, single=True, flat=True)


def neighbours(fitted: Any) -> NearestNeighbours:
    """KNeighbors, Classifier and Regressor, of equal votes by Euclidean distance: our own nearest neighbours.

    Raises MetatlError for other votes, distances and several columns of classes.
    """
    if fitted.weights != "uniform" or fitted.effective_metric_ != "euclidean":
        raise MetatlError("neighbours are saved with weights 'uniform' and the Euclidean metric only")
    if fitted.n_neighbors > fitted.n_samples_fit_:
        raise MetatlError(
            f"{type(fitted).__name__}: n_neighbors is {fitted.n_neighbors}, and there are "
            f"{fitted.n_samples_fit_} rows; lower it, or take NearestNeighbours"
        )
    classes, y = getattr(fitted, "classes_", None), fitted._y
    if isinstance(classes, list):
        raise MetatlError("neighbours of several columns of labels are not saved; fit them for each")
    rows = fitted._fit_X.toarray() if hasattr(fitted._fit_X, "toarray") else fitted._fit_X
    if classes is None:
        return NearestNeighbours(fitted.n_neighbors).fit(rows, y.astype(np.float64))
    found = NearestNeighbours(fitted.n_neighbors).fit(rows, y)
    found.classes_ = classes
    return found


def _link(fitted: Any, classes: list[Any] | None) -> Link:
    if classes is not None:
        return "sigmoid" if fitted.n_trees_per_iteration_ == 1 else "softmax"
    return "exp" if type(fitted._loss.link).__name__ == "LogLink" else "identity"
