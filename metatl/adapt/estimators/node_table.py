"""A decision tree as a table of nodes that can be changed: what transfers of trees work on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metatl.adapt.estimators.forest import Array, Forest, joined


@dataclass(frozen=True, eq=False)
class NodeTable:
    """Nodes in rows, after their parents. A row of x goes left where x[feature] <= threshold.

    Args:
        feature, threshold: [nodes].
        left, right: [nodes] the children's places; -1 in a leaf.
        counts: [nodes, classes] training rows of each class.
    """

    feature: Array
    threshold: Array
    left: Array
    right: Array
    counts: Array

    @staticmethod
    def of(tree: Any, columns: Array, classes: int) -> NodeTable:
        """scikit-learn's fitted DecisionTreeClassifier, its classes' counts in these of [nodes, classes].

        `tree_.value` holds shares since scikit-learn 1.3; counts are shares times the node's rows.
        """
        made = tree.tree_
        shares = made.value[:, 0] / made.value[:, 0].sum(1, keepdims=True)
        counts = np.zeros((made.node_count, classes))
        counts[:, columns] = shares * made.weighted_n_node_samples[:, None]
        return NodeTable(made.feature, made.threshold, made.children_left, made.children_right, counts)

    def is_leaf(self, node: int) -> bool:
        """Whether a node has no children."""
        return bool(self.left[node] < 0)

    def routed(self, x: Array) -> list[Array]:
        """Of every node, the places of the rows of x that come by."""
        rows = [np.zeros(0, np.int64)] * len(self.left)
        rows[0] = np.arange(len(x))
        for node in range(len(self.left)):
            if not self.is_leaf(node):
                goes = x[rows[node], self.feature[node]] <= self.threshold[node]
                rows[self.left[node]], rows[self.right[node]] = rows[node][goes], rows[node][~goes]
        return rows

    def pruned(self, instead: Array, leaf: Array) -> NodeTable:
        """The tree with node instead[i] in the place of node i, and without the children of leaves."""
        order, places = [int(instead[0])], dict[int, int]()
        left, right = list[int](), list[int]()
        for node in order:  # grows as it is walked: breadth first, so that nodes lie after their parents
            places[node] = len(places)
            if leaf[node] or self.is_leaf(node):
                left.append(-1)
                right.append(-1)
                continue
            children = [int(instead[self.left[node]]), int(instead[self.right[node]])]
            left.append(len(order))
            right.append(len(order) + 1)
            order += children
        at = np.array(order)
        return NodeTable(
            self.feature[at], self.threshold[at], np.array(left), np.array(right), self.counts[at]
        )


def forest_of(tables: Sequence[NodeTable], classes: Sequence[Any], width: int) -> Forest:
    """The mean over trees of the leaves' shares of classes."""
    parts = joined(
        [one.left for one in tables],
        [one.right for one in tables],
        [one.feature for one in tables],
        [one.threshold for one in tables],
        [np.zeros(len(one.left)) for one in tables],
    )
    counts = np.concatenate([one.counts for one in tables])
    value = counts / counts.sum(1, keepdims=True) / len(tables)
    return Forest(*parts, value, np.zeros(value.shape[1]), width, list(classes), single=True)
