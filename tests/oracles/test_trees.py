"""SER, STRUT and continued boosting against a few recursive lines on nested nodes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from metatl.adapt import ContinuedBoosting, TreeTransfer

DIGITS = 11
"""Of gains: equal ones are equal."""


def tree_of(made: Any, columns: Any, classes: int, node: int = 0) -> dict[str, Any]:
    """A fitted tree as nested nodes with counts [classes]."""
    tree, counts = made.tree_, np.zeros(classes)
    counts[columns] = tree.value[node, 0] / tree.value[node, 0].sum() * tree.weighted_n_node_samples[node]
    if tree.children_left[node] < 0:
        return {"counts": counts}
    low, high = (
        tree_of(made, columns, classes, int(at[node])) for at in (tree.children_left, tree.children_right)
    )
    return {
        "counts": counts,
        "feature": tree.feature[node],
        "at": tree.threshold[node],
        "low": low,
        "high": high,
    }


def counted(y: Any, classes: int) -> Any:
    return np.bincount(y, minlength=classes).astype(float)


def wrong(node: dict[str, Any]) -> float:
    if "at" in node:
        return wrong(node["low"]) + wrong(node["high"])
    return node["counts"].sum() - node["counts"].max()


def ser(node: dict[str, Any], x: Any, y: Any, classes: int, seed: int | None) -> dict[str, Any]:
    """Expanded and reduced; seed: of the trees that grow, None where none grow any more."""
    counts = counted(y, classes)
    if "at" not in node:
        if seed is None or (counts > 0).sum() < 2:
            return {"counts": counts}
        grown = DecisionTreeClassifier(random_state=seed).fit(x, y)
        return ser(tree_of(grown, grown.classes_, classes), x, y, classes, None)
    goes = x[:, node["feature"]] <= node["at"]
    low = ser(node["low"], x[goes], y[goes], classes, seed)
    high = ser(node["high"], x[~goes], y[~goes], classes, seed)
    if counts.sum() - counts.max() <= wrong(low) + wrong(high):
        return {"counts": counts}
    if goes.all() or not goes.any():
        return low if goes.all() else high
    return {**node, "counts": counts, "low": low, "high": high}


def entropy(counts: Any) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())


def apart(one: Any, other: Any) -> float:
    one, other = one / one.sum(), other / other.sum()
    return entropy((one + other) / 2) - (entropy(one) + entropy(other)) / 2


def strut(node: dict[str, Any], x: Any, y: Any, classes: int) -> dict[str, Any]:
    """Thresholds moved."""
    counts = counted(y, classes)
    if "at" not in node or (counts > 0).sum() < 2:
        return {"counts": counts}
    values, low, high, at = x[:, node["feature"]].astype(float), node["low"], node["high"], node["at"]
    known = np.unique(values)
    if len(known) > 1:
        middles = (known[1:] + known[:-1]) / 2

        def sides(middle: float) -> list[tuple[float, Any]]:
            goes = values <= middle
            return [(side.mean(), counted(y[side], classes)) for side in (goes, ~goes)]

        gains = [round(entropy(counts) - sum(p * entropy(c) for p, c in sides(m)), DIGITS) for m in middles]
        peaks = [i for i in range(1, len(gains) - 1) if gains[i] >= max(gains[i - 1], gains[i + 1])]
        among = peaks or [i for i, gain in enumerate(gains) if gain == max(gains)]
        found = [
            (
                round(
                    sum(p * apart(c, n["counts"]) for (p, c), n in zip(sides(middles[i]), pair, strict=True)),
                    DIGITS,
                ),
                turned,
                i,
            )
            for turned, pair in enumerate([(low, high), (high, low)])
            for i in among
        ]
        _, turned, i = min(found)
        at, (low, high) = middles[i], ((high, low) if turned else (low, high))
    goes = values <= at
    if goes.all() or not goes.any():
        return strut(low if goes.all() else high, x, y, classes)
    low, high = strut(low, x[goes], y[goes], classes), strut(high, x[~goes], y[~goes], classes)
    return {**node, "counts": counts, "at": at, "low": low, "high": high}


def shares(node: dict[str, Any], row: Any) -> Any:
    while "at" in node:
        node = node["low" if row[node["feature"]] <= node["at"] else "high"]
    return node["counts"] / node["counts"].sum()


@pytest.mark.parametrize("rule", ["ser", "strut"])
@pytest.mark.parametrize("seed", range(24))
def test_transferred_trees(rule: Any, seed: int) -> None:
    """Few rows, equal values, classes that the target lacks or has alone, trees of any depth."""
    draws = np.random.default_rng(seed)
    width, classes, rows = (int(draws.integers(*between)) for between in ((1, 5), (2, 5), (1, 40)))
    x, target, rest = (draws.normal(size=(n, width)).astype("f4") for n in (120, rows, 50))
    target = (target + 0.3).round() if seed % 3 == 0 else target + np.float32(0.3)

    def labels(x: Any, shift: float) -> Any:
        return np.abs((2 * x[:, 0] + x[:, -1] - shift).round()).astype(int) % classes

    y, of_target = labels(x, 0), labels(target, 0.5)
    if seed % 4 == 1:
        of_target = np.minimum(of_target, 1)
    if seed % 5 == 2:
        of_target[:] = of_target[0]
    source = DecisionTreeClassifier(max_depth=int(draws.integers(1, 6)), random_state=0).fit(x, y)
    known = np.unique(np.concatenate([source.classes_, of_target]))
    numbered, columns = np.searchsorted(known, of_target), np.searchsorted(known, source.classes_)
    tree = tree_of(source, columns, len(known))
    grown = int(np.random.default_rng(0).integers(2**31))
    mine = (
        ser(tree, target, numbered, len(known), grown)
        if rule == "ser"
        else strut(tree, target, numbered, len(known))
    )
    found = TreeTransfer(source, rule, random_state=0).fit(target, of_target)
    np.testing.assert_array_equal(found.classes_, known)
    np.testing.assert_allclose(found.predict_proba(rest), [shares(mine, row) for row in rest], atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3, 0])
def test_boosting_goes_on(classes: int) -> None:
    """Newton's steps in the leaves of trees that are fitted to what is left; 0 classes: real values."""
    draws = np.random.default_rng(classes)
    x, target = draws.normal(size=(60, 1)).astype("f4"), draws.normal(size=(30, 1)).astype("f4")

    def said(x: Any, shift: float) -> Any:
        return (
            np.digitize(x[:, 0] + shift, np.linspace(-0.4, 0.4, classes - 1)) if classes else x[:, 0] + shift
        )

    kind = GradientBoostingClassifier if classes else GradientBoostingRegressor
    y, of_target = said(x, 0), said(target, 0.5)
    source: Any = kind(n_estimators=6, learning_rate=0.2, random_state=0).fit(x, y)
    on = ContinuedBoosting(source, 4).fit(target, of_target)
    both = np.concatenate([target, x])
    raw = source.decision_function(both) if classes else source.predict(both)
    raw = raw.reshape(len(both), -1)
    for _ in range(4):
        here, old = raw[: len(target)], raw.copy()
        for k in range(raw.shape[1]):
            if classes:
                wide = np.exp(here) if classes > 2 else np.exp(np.concatenate([here, 0 * here], 1))
                p = (wide / wide.sum(1, keepdims=True))[:, k]
                left = (of_target == (k if classes > 2 else 1)) - p
                curved, share = p * (1 - p), (classes - 1) / classes if classes > 2 else 1.0
            else:
                left, curved, share = of_target - here[:, 0], np.ones(len(target)), 1.0
            tree = DecisionTreeRegressor(max_depth=3, random_state=0).fit(target, left)
            leaves, places = tree.apply(target), tree.apply(both)
            steps = {
                leaf: share * left[leaves == leaf].sum() / curved[leaves == leaf].sum() for leaf in {*leaves}
            }
            old[:, k] += 0.2 * np.array([steps[leaf] for leaf in places])
        raw = old
    found = on.fitted_.decision_function(both) if classes else on.predict(both)
    np.testing.assert_allclose(found.reshape(raw.shape), raw, atol=1e-9)
