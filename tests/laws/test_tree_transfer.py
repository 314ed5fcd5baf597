"""Trees that transfer: what grows, what is pruned, which thresholds move, what goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from sklearn.ensemble import (
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.tree import DecisionTreeClassifier

from metatl import Net
from metatl.adapt import ContinuedBoosting, Estimator, TreeTransfer
from metatl.adapt.estimators import frozen, thawed
from metatl.adapt.estimators.threshold_transfer import threshold
from metatl.errors import MetatlError
from metatl.types import Batch

# Predictions of adapt 0.4.5 (BSD), TransferTreeClassifier on one source tree of depth 4. With one column its
# grown trees, which it does not seed, are unique; with four its choice of thresholds differs where the first
# midpoint, no local maximum, has the largest divergence gain.
GOLDEN = {
    ("ser", 1, 0): "201020020000101100020000010000210000000210000000010011010001",
    ("ser", 1, 1): "001020010100101000100100000010010200100110010110000201010120",
    ("ser", 1, 2): "010010000101000021000010000000000210102101100000011201010001",
    ("strut", 1, 0): "201020020000101100020000010000210000000210000000010011010001",
    ("strut", 1, 1): "001020010100101000100100000010010200100110010110000101010120",
    ("strut", 1, 2): "010010000101000021000010000000000210102101100000011201010001",
    ("strut", 4, 3): "212111110100020100021010000011010111011101001010101111110001",
}


def drawn(seed: int, width: int) -> tuple[Any, Any, Any, Any, Any]:
    """Source rows and classes, target rows and classes, and rows to predict."""
    draws = np.random.default_rng(seed)
    x, target, rest = (draws.normal(size=(n, width)).astype("f4") for n in (200, 40, 60))

    def classes(x: Any, shift: float) -> Any:
        return ((x[:, 0] + 0.5 * x[:, -1] > shift).astype(int) + (x[:, width // 2] > 1 + shift)) % 3

    return x, classes(x, 0), target, classes(target, 0.3), rest


@pytest.mark.parametrize(("rule", "width", "seed"), GOLDEN)
def test_one_tree_is_that_of_a_peer(rule: Any, width: int, seed: int) -> None:
    x, y, target, labels, rest = drawn(seed, width)
    source = DecisionTreeClassifier(max_depth=4, random_state=0).fit(x, y)
    found = TreeTransfer(source, rule, random_state=0).fit(target, labels).predict(rest)
    assert "".join(map(str, found)) == GOLDEN[rule, width, seed]


def test_a_leaf_with_mixed_rows_grows_and_an_empty_side_goes() -> None:
    source = DecisionTreeClassifier().fit([[0.0, 0], [1, 0], [2, 0], [3, 0]], [0, 0, 1, 1])  # x0 <= 1.5
    target, labels = (
        np.array([[2.0, 0], [2, 1], [2, 2]]),
        np.array([0, 1, 1]),
    )  # no row left of it; x1 tells the classes
    forest = TreeTransfer(source, "ser").fit(target, labels).forest_
    assert forest.feature[0] == 1
    assert forest.threshold[0] == 0.5
    assert len(forest.left) == 3
    np.testing.assert_array_equal(forest.value, [[1 / 3, 2 / 3], [1, 0], [0, 1]])


def test_a_subtree_that_names_no_more_rows_is_pruned() -> None:
    source = DecisionTreeClassifier().fit([[0.0], [1], [2], [3]], [0, 1, 0, 1])
    forest = TreeTransfer(source, "ser").fit(np.arange(4.0)[:, None], np.ones(4, int)).forest_
    assert len(forest.left) == 1
    assert forest.value.tolist() == [[0.0, 1.0]]


def test_thresholds_follow_a_shift() -> None:
    draws = np.random.default_rng(0)
    x = draws.uniform(0, 1, (300, 1)).astype("f4")
    y = (x[:, 0] > 0.3).astype(int) + (x[:, 0] > 0.6)
    source = DecisionTreeClassifier(random_state=0).fit(x, y)
    moved = TreeTransfer(source, "strut").fit(x[:60] + 10, y[:60]).forest_
    inner = moved.left != np.arange(len(moved.left))
    np.testing.assert_allclose(np.sort(moved.threshold[inner]), [10.3, 10.6], atol=0.05)


def test_exchanged_sides_are_seen() -> None:
    values = np.array([0.0, 1, 2, 3, 4, 5], "f4")
    y = np.array([1, 1, 1, 0, 0, 0])
    bound, exchanged = threshold(values, y, np.array([9.0, 1]), np.array([1.0, 9]))
    assert (bound, exchanged) == (2.5, True)
    assert threshold(values, 1 - y, np.array([9.0, 1]), np.array([1.0, 9])) == (2.5, False)
    x = np.linspace(0, 1, 50)[:, None]
    source = DecisionTreeClassifier().fit(x, x[:, 0] > 0.5)
    turned = TreeTransfer(source, "strut").fit(x, x[:, 0] <= 0.5)
    np.testing.assert_array_equal(turned.predict(x), x[:, 0] <= 0.5)


def test_divergence_gain_by_hand() -> None:
    values, y = np.arange(7.0), np.array([0, 1, 0, 1, 1, 0, 1])
    left, right = np.array([3.0, 1]), np.array([1.0, 3])

    def entropy(p: Any) -> float:
        return float(-sum(q * np.log2(q) for q in p if q > 0))

    def shares(labels: Any) -> Any:
        return np.bincount(labels, minlength=2) / len(labels)

    def apart(p: Any, q: Any) -> float:
        return entropy((p + q) / 2) - (entropy(p) + entropy(q)) / 2

    def gain(i: int) -> float:
        low, high = y[:i], y[i:]
        return entropy(shares(y)) - (len(low) * entropy(shares(low)) + len(high) * entropy(shares(high))) / 7

    gains = [gain(i) for i in range(1, 7)]
    among = [i for i in range(1, 5) if gains[i] >= gains[i - 1] and gains[i] >= gains[i + 1]]
    scored = {
        (i, crossed): -((i + 1) * apart(shares(y[: i + 1]), one) + (6 - i) * apart(shares(y[i + 1 :]), two))
        / 7
        for i in among
        for crossed, (one, two) in enumerate([(left / 4, right / 4), (right / 4, left / 4)])
    }
    i, crossed = max(scored, key=lambda key: scored[key])
    assert threshold(values, y, left, right) == (i + 0.5, bool(crossed))


@pytest.mark.parametrize("made", [RandomForestClassifier, ExtraTreesClassifier])
def test_a_forest_of_names_and_a_class_that_is_new(made: Any) -> None:
    x, y, target, labels, rest = drawn(4, 4)
    names = np.array(["no", "so", "yes"])
    source = made(10, random_state=0).fit(x[y > 0], names[y[y > 0]])
    found = {
        rule: TreeTransfer(source, rule, random_state=1).fit(target, names[labels]) for rule in ("ser", "mix")
    }
    for one in found.values():
        assert list(one.classes_) == ["no", "so", "yes"]
        np.testing.assert_allclose(one.predict_proba(rest).sum(1), 1)
    assert len(found["mix"].forest_.roots) == 2 * len(found["ser"].forest_.roots) == 20
    np.testing.assert_array_equal(found["ser"].predict(target), names[labels])  # grown until they are pure
    again = TreeTransfer(source, "ser", random_state=1).fit(target, names[labels])
    np.testing.assert_array_equal(again.predict_proba(rest), found["ser"].predict_proba(rest))


def test_it_serves_as_an_estimator_and_is_saved() -> None:
    x, y, target, labels, rest = drawn(5, 4)
    made = TreeTransfer(RandomForestClassifier(5, random_state=0).fit(x, y), bootstrap=True)
    net = Net.of(torch.nn.Linear(4, 3))
    support = Batch(torch.tensor(target), torch.tensor(labels))
    adaptation = Estimator(made, on="inputs")
    fitted = adaptation.fit(net, net.start(), support, 7)
    out = adaptation.predict(net, net.start(), fitted, support, torch.tensor(rest))
    alone = TreeTransfer(made.source, bootstrap=True, random_state=7).fit(target, labels)
    np.testing.assert_allclose(out.exp().clamp_min(1e-6), alone.predict_proba(rest).clip(1e-6), rtol=1e-5)
    kept = thawed(*frozen(alone))
    np.testing.assert_array_equal(kept.predict_proba(rest), alone.predict_proba(rest))


@pytest.mark.parametrize("classes", [2, 3])
def test_boosting_goes_on_from_its_source(classes: int) -> None:
    x, y, target, labels, rest = drawn(6, 4)
    y, labels = np.minimum(y, classes - 1), np.minimum(labels, classes - 1)
    source = GradientBoostingClassifier(n_estimators=10, random_state=0).fit(x, y)
    on = ContinuedBoosting(source, 5).fit(target, labels)
    assert source.n_estimators == 10
    assert len(on.fitted_.estimators_) == 15
    for one, other in zip(source.estimators_[:, 0], on.fitted_.estimators_[:, 0], strict=False):
        np.testing.assert_array_equal(one.predict(rest), other.predict(rest))
    assert on.fitted_.score(target, labels) > source.score(target, labels)
    kept = thawed(*frozen(on))
    np.testing.assert_allclose(kept.predict_proba(rest), on.predict_proba(rest), atol=1e-12)
    few = ContinuedBoosting(source, 5).fit(target[labels == 0], labels[labels == 0])
    assert few.predict_proba(rest).shape == (60, classes)


def test_boosting_that_stopped_early_goes_on_by_so_many_trees() -> None:
    x, y, target, labels, _ = drawn(9, 4)
    source = GradientBoostingClassifier(n_estimators=90, n_iter_no_change=1, random_state=0).fit(x, y)
    assert source.n_estimators_ < 90
    on = ContinuedBoosting(source, 3).fit(target, labels)
    assert len(on.fitted_.estimators_) == source.n_estimators_ + 3


def test_of_equal_gains_the_better_side_is_taken_and_not_chance() -> None:
    """Both midpoints cut off one of three rows: their gains are equal but for rounding."""
    values, left, right = np.array([0.0, 1, 2], "f4"), np.array([9.0, 1, 0]), np.array([0.0, 1, 9])
    for y in (np.array([0, 2, 2]), np.array([0, 0, 2])):
        bound = 0.5 if y[1] == 2 else 1.5
        assert threshold(values, y, left, right) == (bound, False)
        assert threshold(values, y[::-1].copy(), left, right) == (2 - bound, True)
    assert threshold(values, np.array([0, 1, 0]), left, left) == (0.5, False)


def test_boosted_values_go_on_too() -> None:
    x, _, target, _, rest = drawn(7, 4)
    source = GradientBoostingRegressor(n_estimators=10, random_state=0).fit(x, x[:, 0])
    on = ContinuedBoosting(source, 20).fit(target, target[:, 0] + 3)
    np.testing.assert_allclose(thawed(*frozen(on)).predict(rest), on.predict(rest), atol=1e-10)
    assert (
        np.abs(on.predict(target) - target[:, 0] - 3).mean()
        < np.abs(source.predict(target) - target[:, 0] - 3).mean()
    )


def test_refusals_are_one_line() -> None:
    x, y, target, labels, _ = drawn(8, 4)
    tree = DecisionTreeClassifier(max_depth=2).fit(x, y)
    boosted = GradientBoostingClassifier(n_estimators=2).fit(x, y)
    for wrong, said in [
        (lambda: TreeTransfer(DecisionTreeClassifier()), "no fitted classifier of trees"),
        (lambda: TreeTransfer(tree, "grow"), "one of ser, strut, mix"),  # pyright: ignore[reportArgumentType]
        (lambda: TreeTransfer(tree).fit(target[:, :2], labels), "the same columns"),
        (lambda: TreeTransfer(tree).fit(target * np.nan, labels), "hold NaN"),
        (lambda: TreeTransfer(tree).fit(target, labels).predict(target * np.nan), "hold NaN"),
        (lambda: TreeTransfer(tree).predict(target), "not fitted yet"),
        (lambda: TreeTransfer(tree).fit(target, labels[1:]), r"40 rows and targets \[39\]"),
        (lambda: TreeTransfer(tree).fit(target, target[:, 0]), "targets are real values"),
        (lambda: TreeTransfer(tree).fit(target, labels * np.nan), "targets hold NaN"),
        (
            lambda: TreeTransfer(tree).fit(target, labels.astype("U")),
            "targets are texts, and the source's numbers",
        ),
        (lambda: TreeTransfer(tree).fit(np.array([["red"] * 4]), labels[:1]), "rows are no numbers"),
        (
            lambda: TreeTransfer(BaggingClassifier(tree, 3, max_features=2).fit(x, y)),
            "no fitted classifier of",
        ),
        (
            lambda: TreeTransfer(GradientBoostingClassifier(n_estimators=2).fit(x, y)),
            "no fitted classifier of",
        ),
        (lambda: TreeTransfer(DecisionTreeClassifier().fit(x, np.stack([y, y], 1))), "several targets"),
        (lambda: ContinuedBoosting(tree), "no fitted GradientBoosting"),
        (lambda: ContinuedBoosting(boosted, "5"), "a whole number"),  # pyright: ignore[reportArgumentType]
        (lambda: ContinuedBoosting(boosted).fit(target[:, :2], labels), "the same columns"),
        (lambda: ContinuedBoosting(boosted).fit(target * np.nan, labels), "hold NaN"),
        (lambda: ContinuedBoosting(boosted).fit(target[:0], labels[:0]), "give one or more"),
        (lambda: ContinuedBoosting(boosted).predict(target), "not fitted yet"),
        (
            lambda: ContinuedBoosting(GradientBoostingClassifier(n_estimators=2).fit(x, y)).fit(
                target, labels + 1
            ),
            "never saw class 3",
        ),
    ]:
        with pytest.raises(MetatlError, match=said):
            wrong()
