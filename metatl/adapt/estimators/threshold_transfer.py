"""STRUT: a source tree keeps its structure and features, and its thresholds move."""

from __future__ import annotations

import numpy as np

from metatl.adapt.estimators.forest import Array
from metatl.adapt.estimators.node_table import NodeTable

_DIGITS = 12
"""Of gains that are compared: with few rows many are equal, and the last digits of logarithms are chance."""


def thresholds_moved(tree: NodeTable, x: Array, y: Array) -> NodeTable:
    """Structure transfer: the tree with thresholds of target rows x [n, d] with classes y [n].

    From the root: a node with rows of one class becomes a leaf; else its threshold is a local maximum of the
    information gain on the target, the one whose two sides are most like the source's (`threshold`), or
    most like the source's exchanged, whose children are exchanged then. A node with a side that no row
    takes is replaced by the other child. Counts are those of the target. Source: Segev, Harel, Mannor,
    Crammer & El-Yaniv 2017, arXiv 1511.01258.
    """
    classes, parts = tree.counts.shape[1], list[tuple[int, float, int, int, Array]]()
    waiting = [(0, np.arange(len(x)))]
    for node, rows in waiting:  # grows as it is walked: breadth first
        counts = np.bincount(y[rows], minlength=classes).astype(np.float64)
        node, bound, children, goes = _split(tree, node, x[rows], y[rows])
        if not children:
            parts.append((0, 0.0, -1, -1, counts))
            continue
        parts.append((int(tree.feature[node]), bound, len(waiting), len(waiting) + 1, counts))
        waiting += [(children[0], rows[goes]), (children[1], rows[~goes])]
    feature, bounds, left, right, counts = zip(*parts, strict=True)
    return NodeTable(np.array(feature), np.array(bounds), np.array(left), np.array(right), np.array(counts))


def _split(tree: NodeTable, node: int, x: Array, y: Array) -> tuple[int, float, tuple[int, ...], Array]:
    """The first node from here with rows on both sides: its threshold, children, and who goes left.

    No children where it is a leaf.
    """
    while not tree.is_leaf(node) and (y != y[0]).any():
        children = (int(tree.left[node]), int(tree.right[node]))
        values = x[:, tree.feature[node]]
        bound, exchanged = float(tree.threshold[node]), False
        if (values != values[0]).any():
            bound, exchanged = threshold(values, y, tree.counts[children[0]], tree.counts[children[1]])
        children = children[::-1] if exchanged else children
        goes = values <= bound
        if goes.any() and not goes.all():
            return node, bound, children, goes
        node = children[0] if goes.all() else children[1]
    return node, 0.0, (), np.zeros(0, np.bool_)


def threshold(values: Array, y: Array, left: Array, right: Array) -> tuple[float, bool]:
    """A threshold among the midpoints of values [n], and whether left and right are to be exchanged.

    Of the local maxima of the information gain inside the range (without one: of those with the largest gain)
    that with the largest divergence gain 1 - p_l JSD(Q_l, S_l) - p_r JSD(Q_r, S_r), Q the shares of classes
    on the target's sides, S those of the source's (left, right: counts [classes]), JSD in bits. Of equals the
    lowest, and not exchanged.
    """
    order = np.argsort(values, kind="stable")
    values, y = values[order].astype(np.float64), y[order]
    sums = np.cumsum(y[:, None] == np.arange(len(left)), 0, dtype=np.float64)
    last = np.flatnonzero(values[1:] != values[:-1])  # the last row left of each midpoint
    lefts, rights = sums[last], sums[-1] - sums[last]
    share = lefts.sum(1) / len(y)
    gain = _entropy(sums[-1]) - share * _entropy(lefts) - (1 - share) * _entropy(rights)
    gain = gain.round(_DIGITS)
    inside = np.flatnonzero((gain[1:-1] >= gain[:-2]) & (gain[1:-1] >= gain[2:])) + 1
    among = inside if len(inside) else np.flatnonzero(gain == gain.max())

    def best(s_left: Array, s_right: Array) -> tuple[float, int]:
        apart = share[among] * _divergence(lefts[among], s_left)
        apart += (1 - share[among]) * _divergence(rights[among], s_right)
        apart = apart.round(_DIGITS)
        return 1 - apart.min(), int(among[apart.argmin()])

    (straight, at), (crossed, other) = best(left, right), best(right, left)
    exchanged = crossed > straight
    row = last[other if exchanged else at]
    return float((values[row] + values[row + 1]) / 2), bool(exchanged)


def _shares(counts: Array) -> Array:
    return counts / counts.sum(-1, keepdims=True)


def _entropy(counts: Array) -> Array:
    """Of the shares, in bits, along the last axis."""
    p = _shares(counts)
    return -(p * np.log2(np.where(p > 0, p, 1.0))).sum(-1)


def _divergence(counts: Array, other: Array) -> Array:
    """Jensen-Shannon divergence [k] of the shares in [k, classes] from those of `other`, in bits."""
    mean = (_shares(counts) + _shares(other)) / 2
    return _entropy(mean) - (_entropy(counts) + _entropy(other)) / 2
