"""Decision trees as arrays: what scikit-learn's forests and boosted trees predict with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from metatl.types import MetatlError

Array = NDArray[Any]
Nodes = tuple[Array, Array, Array, Array, Array, Array]
"""roots, left, right, feature, threshold, missing_left, see `Forest`."""
Link = Literal["identity", "exp", "sigmoid", "softmax"]
_TOGETHER = 1 << 21  # places of rows in trees, at once


@dataclass(frozen=True, eq=False)
class Forest:
    """Sums of the leaves' values: f(x) = start + sum_t value[leaf_t(x)], then the link.

    A row goes left where x[feature] <= threshold, or where it is NaN and `missing_left`. Nodes lie after
    their parents; a leaf's children are itself. `sigmoid` gives two probabilities of one sum.

    Args:
        roots: [trees] the first node of each.
        left, right, feature, threshold, missing_left: [nodes].
        value: [nodes, outputs].
        start: [outputs].
        classes: labels of the outputs; None for real values.
        link: from sums to outputs.
        single: whether x counts in single precision.
        flat: whether real values are [n] rather than [n, 1].
    """

    roots: Array
    left: Array
    right: Array
    feature: Array
    threshold: Array
    missing_left: Array
    value: Array
    start: Array
    width: int
    classes: list[Any] | None = None
    link: Link = "identity"
    single: bool = False
    flat: bool = False

    @property
    def classes_(self) -> Array:
        """Labels in the order of `predict_proba`; scikit-learn's name."""
        return np.array(self.classes if self.classes is not None else [])

    def predict_proba(self, x: Array) -> Array:
        """Probabilities [n, classes]."""
        if self.classes is None:
            raise MetatlError("a forest of real values has no probabilities; call predict")
        sums = self._sums(np.asarray(x))
        if self.link == "sigmoid":
            sums = np.concatenate([-sums, sums], 1)
            return (1 / (1 + np.exp(-sums)))[:, : len(self.classes)]
        if self.link == "softmax":
            sums = np.exp(sums - sums.max(1, keepdims=True))
            return sums / sums.sum(1, keepdims=True)
        return sums

    def predict(self, x: Array) -> Array:
        """The most probable class [n], or real values, [n] or [n, outputs]."""
        if self.classes is not None:
            return self.classes_[self.predict_proba(x).argmax(1)]
        sums = self._sums(np.asarray(x))
        values = np.exp(sums) if self.link == "exp" else sums
        return values[:, 0] if self.flat else values

    def _sums(self, x: Array) -> Array:
        if x.ndim != 2 or x.shape[1] != self.width:
            raise MetatlError(f"rows are {list(x.shape)}; these trees were fitted to [n, {self.width}]")
        x = x.astype(np.float32 if self.single else np.float64)
        step = max(1, _TOGETHER // max(1, len(self.roots)))
        parts = [self._of_rows(x[i : i + step]) for i in range(0, len(x), step)]
        return np.concatenate(parts) if parts else np.zeros((0, len(self.start)))

    def _of_rows(self, x: Array) -> Array:
        node = np.repeat(self.roots[None], len(x), 0)
        rows = np.arange(len(x))[:, None]
        while (self.left[node] != node).any():
            value = x[rows, self.feature[node]]
            left = np.where(np.isnan(value), self.missing_left[node], value <= self.threshold[node])
            node = np.where(left, self.left[node], self.right[node])
        return self.start + self.value[node].sum(1)

    def stored(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """Plain values, and arrays."""
        held = {one.name: getattr(self, one.name) for one in fields(self)}
        arrays = {name: value for name, value in held.items() if isinstance(value, np.ndarray)}
        return {name: value for name, value in held.items() if name not in arrays}, arrays

    @staticmethod
    def of(values: Mapping[str, Any], arrays: Mapping[str, Array]) -> Forest:
        """The forest of these parts; raises ValueError or KeyError where they are none, or do not end."""
        parts: dict[str, Any] = {**values, **arrays}
        forest = Forest(**parts)
        nodes, at = len(forest.left), np.arange(len(forest.left))
        leaf = (forest.left == at) & (forest.right == at)
        after = (forest.left > at) & (forest.right > at) & (forest.left < nodes) & (forest.right < nodes)
        shapes = {forest.right.shape, forest.feature.shape, forest.threshold.shape, forest.missing_left.shape}
        fits = shapes == {(nodes,)} and forest.value.shape == (nodes, *forest.start.shape)
        inside = ((forest.feature >= 0) & (forest.feature < forest.width)).all()
        rooted = ((forest.roots >= 0) & (forest.roots < nodes)).all()
        if not (fits and (leaf | after).all() and inside and rooted and forest.link in get_args(Link)):
            raise ValueError("its nodes are no trees")
        outputs = 2 if forest.link == "sigmoid" else len(forest.start)
        if forest.classes is not None and not 0 < len(forest.classes) <= outputs:
            raise ValueError("its classes are not those of its trees")
        return forest


def constant(label: Any, width: int) -> Forest:
    """A forest that has one class only: one leaf."""
    leaf, one = np.zeros(1, np.int64), np.ones(1)
    return Forest(leaf, leaf, leaf, leaf, one, leaf == 1, one[:, None], np.zeros(1), width, [label])


def joined(
    left: Sequence[Array],
    right: Sequence[Array],
    feature: Sequence[Array],
    threshold: Sequence[Array],
    missing_left: Sequence[Array],
) -> Nodes:
    """roots, left, right, feature, threshold, missing_left of all trees' nodes in one row; -1 is no child."""
    sizes = [len(part) for part in left]
    roots = np.cumsum([0, *sizes[:-1]]).astype(np.int64) if sizes else np.zeros(0, np.int64)
    if not sizes:
        none = np.zeros(0, np.int64)
        return roots, none, none, none, none.astype(np.float64), none.astype(np.bool_)
    at = np.arange(sum(sizes))
    first = np.repeat(roots, sizes)
    children = [np.concatenate(side).astype(np.int64) for side in (left, right)]
    lefts, rights = (np.where(side < 0, at, side + first) for side in children)
    leaf = lefts == at
    features = np.where(leaf, 0, np.concatenate(feature).astype(np.int64))
    thresholds = np.concatenate(threshold).astype(np.float64)
    return roots, lefts, rights, features, thresholds, np.concatenate(missing_left).astype(np.bool_)
