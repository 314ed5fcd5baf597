"""Trees that transfer: a forest of a source fitted to target rows."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np

from metatl.adapt.estimators import looked_at
from metatl.adapt.estimators.expansion_reduction import expanded_and_reduced
from metatl.adapt.estimators.forest import Array
from metatl.adapt.estimators.node_table import NodeTable, forest_of
from metatl.adapt.estimators.threshold_transfer import thresholds_moved
from metatl.types import MetatlError

Rule = Literal["ser", "strut", "mix"]
_SOURCES = {"DecisionTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier"}
"""Whose trees read all columns and vote alike, unlike those of bagging or boosting; and subclasses."""


@dataclass
class TreeTransfer:
    """Every tree of a source's forest, fitted to the target's rows; they vote with their shares of classes.

    `ser` (structure expansion and reduction) grows and prunes each tree, `strut` (structure transfer) moves
    its thresholds, `mix` takes the trees of both. Source: Segev et al. 2017, arXiv 1511.01258. `fit` changes
    the object, as estimators do; what is fitted is `forest_`.

    Args:
        source: scikit-learn's fitted DecisionTree-, RandomForest- or ExtraTreesClassifier.
        rule: how a tree is fitted.
        bootstrap: whether every tree sees a sample of its own, as large as the rows, with replacement.
        random_state: of the samples, and of the trees that grow.
    """

    source: Any
    rule: Rule = "mix"
    bootstrap: bool = False
    random_state: int | None = None

    def __post_init__(self) -> None:
        """Refuse a rule that is none, and a source that is no fitted classifier of trees."""
        if self.rule not in get_args(Rule):
            raise MetatlError(f"TreeTransfer: rule is {self.rule!r}; give one of {', '.join(get_args(Rule))}")
        known = _SOURCES & {one.__name__ for one in type(self.source).__mro__}
        if not known or not hasattr(self.source, "classes_"):
            raise MetatlError(
                "TreeTransfer: source is no fitted classifier of trees; fit a DecisionTree-, RandomForest- "
                "or ExtraTreesClassifier of scikit-learn to the source first"
            )
        if self.source.n_outputs_ > 1:
            raise MetatlError("TreeTransfer: the source has several targets of a row; fit it to one of them")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """What it was made of, as scikit-learn asks for it."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def set_params(self, **params: Any) -> TreeTransfer:
        """Other values, in place."""
        for name, value in params.items():
            setattr(self, name, value)
        return self

    def fit(self, x: Array, y: Array) -> TreeTransfer:
        """Fit the source's trees to target rows x [n, d] with classes y [n]."""
        x = self._inputs(x)
        y = looked_at.targets("TreeTransfer", y, len(x), self.source.classes_)
        known = np.asarray(self.source.classes_)
        classes = np.unique(np.concatenate([known, y]))
        labels, columns = np.searchsorted(classes, y), np.searchsorted(classes, known)
        draws = np.random.default_rng(self.random_state)
        trees: list[Any] = list(getattr(self.source, "estimators_", None) or [self.source])
        found = list[NodeTable]()
        for tree in trees:
            table = NodeTable.of(tree, columns, len(classes))
            rows = draws.integers(0, len(x), len(x)) if self.bootstrap else np.arange(len(x))
            found += self._fitted(table, x[rows], labels[rows], int(draws.integers(2**31)))
        self.forest_ = forest_of(found, classes.tolist(), x.shape[1])
        self.classes_ = self.forest_.classes_
        return self

    @property
    def fitted_(self) -> Any:
        """What is fitted; MetatlError before `fit`."""
        if not hasattr(self, "forest_"):
            raise MetatlError("TreeTransfer: it is not fitted yet; call fit with rows of the target")
        return self.forest_

    def _fitted(self, table: NodeTable, x: Array, y: Array, seed: int) -> list[NodeTable]:
        def grow(x: Array, y: Array) -> NodeTable:
            from sklearn.tree import DecisionTreeClassifier

            made: Any = DecisionTreeClassifier(random_state=seed).fit(x, y)
            return NodeTable.of(made, made.classes_, table.counts.shape[1])

        found = list[NodeTable]()
        if self.rule in ("ser", "mix"):
            found.append(expanded_and_reduced(table, x, y, grow))
        if self.rule in ("strut", "mix"):
            found.append(thresholds_moved(table, x, y))
        return found

    def predict_proba(self, x: Array) -> Array:
        """Shares of `classes_` [n, classes], the mean over trees."""
        return self.fitted_.predict_proba(self._inputs(x))

    def predict(self, x: Array) -> Array:
        """The class with the largest share [n]."""
        return self.fitted_.predict(self._inputs(x))

    def _inputs(self, x: Any) -> Array:
        return looked_at.inputs("TreeTransfer", x, self.source.n_features_in_)
