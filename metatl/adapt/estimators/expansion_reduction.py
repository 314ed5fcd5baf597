"""SER: a source tree grows where target rows are mixed in a leaf, and shrinks where that costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from metatl.adapt.estimators.forest import Array
from metatl.adapt.estimators.node_table import NodeTable


def expanded_and_reduced(
    tree: NodeTable, x: Array, y: Array, grow: Callable[[Array, Array], NodeTable]
) -> NodeTable:
    """Structure expansion and reduction: the tree fitted to target rows x [n, d] with classes y [n].

    Expansion: a leaf with target rows of two classes or more gets a tree that `grow` makes of those rows.
    Reduction, from the leaves upwards: a node whose rows are named as well by their majority as by its
    subtree becomes a leaf; one with a child that no row reaches is replaced by the other child. Counts are
    those of the target. Source: Segev, Harel, Mannor, Crammer & El-Yaniv 2017, arXiv 1511.01258.
    """
    grown = _expanded(tree, x, y, grow)
    return _reduced(grown, x, y)


def _expanded(tree: NodeTable, x: Array, y: Array, grow: Callable[[Array, Array], NodeTable]) -> NodeTable:
    for node, rows in enumerate(tree.routed(x)):
        if tree.left[node] < 0 and len(np.unique(y[rows])) > 1:
            tree = _grafted(tree, node, grow(x[rows], y[rows]))
    return tree


def _grafted(tree: NodeTable, leaf: int, branch: NodeTable) -> NodeTable:
    """The branch in place of a leaf: its root takes the leaf's row, its other nodes come last."""
    shift = len(tree.left) - 1

    def children(own: Array, new: Array) -> Array:
        moved = np.where(new < 0, -1, new + shift)
        return np.concatenate([own[:leaf], moved[:1], own[leaf + 1 :], moved[1:]])

    def nodes(own: Array, new: Array) -> Array:
        return np.concatenate([own[:leaf], new[:1], own[leaf + 1 :], new[1:]])

    return NodeTable(
        nodes(tree.feature, branch.feature),
        nodes(tree.threshold, branch.threshold),
        children(tree.left, branch.left),
        children(tree.right, branch.right),
        nodes(tree.counts, branch.counts),
    )


def _reduced(tree: NodeTable, x: Array, y: Array) -> NodeTable:
    routed, classes = tree.routed(x), tree.counts.shape[1]
    counts = np.array([np.bincount(y[rows], minlength=classes) for rows in routed])
    total, wrong = counts.sum(1), counts.sum(1) - counts.max(1)
    instead, leaf = np.arange(len(total)), tree.left < 0
    for node in reversed(range(len(total))):  # children lie after their parents
        if tree.left[node] < 0:
            continue
        sides = instead[[tree.left[node], tree.right[node]]]
        if wrong[node] <= wrong[sides].sum():
            leaf[node] = True
        elif 0 in total[sides]:
            instead[node] = sides[total[sides] > 0][0]
            wrong[node] = wrong[instead[node]]
        else:
            wrong[node] = wrong[sides].sum()
    return replace(tree, counts=counts.astype(np.float64)).pruned(instead, leaf)
