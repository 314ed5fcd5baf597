"""Estimates of transferability: known values, oracles, invariances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from metatl.estimates import (
    HScore,
    NearestNeighbour,
    Pair,
    Task2Vec,
    filter_fisher,
    h_score,
    leep,
    logme,
    nce,
    nearest_neighbour,
    ordered,
    parc,
    task2vec_distance,
)
from metatl.estimates.h_score import shrinkage
from metatl.types import MetatlError

RNG = np.random.default_rng(0)


def rows(n: int, d: int, classes: int = 3, signal: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(n) % classes
    return RNG.normal(size=(n, d)) + signal * RNG.normal(size=(classes, d))[y], y


@pytest.mark.parametrize(("n", "d"), [(25, 512), (25, 64), (60, 20)])
def test_logme_is_the_evidence_of_the_gaussian_marginal(n: int, d: int) -> None:
    """The largest log N(y; 0, I / beta + F F' / alpha) over alpha and beta, where features are wide too."""
    f, _ = rows(n, d)
    y = f @ RNG.normal(size=d) / np.sqrt(d) + RNG.normal(size=n)
    gram = f @ f.T

    def minus(logs: np.ndarray) -> float:
        alpha, beta = np.exp(logs)
        return -multivariate_normal(cov=np.eye(n) / beta + gram / alpha).logpdf(y) / n

    best = -min(minimize(minus, start, method="Nelder-Mead").fun for start in ([0.0, 0.0], [3.0, 0.0]))
    assert best - 0.05 < logme(f, y) <= best + 1e-6  # eleven steps of a fixed point come so close


def test_logme_of_random_wide_features_is_small() -> None:
    """With d instead of the rank in front of log alpha, 25 x 512 random features give more than 50."""
    assert logme(RNG.normal(size=(25, 512)), np.arange(25) % 5) < 1.0


def test_logme_knows_no_rotation_and_no_empty_column() -> None:
    f, y = rows(20, 8)
    turn = np.linalg.qr(RNG.normal(size=(8, 8)))[0]
    assert logme(f @ turn, y) == pytest.approx(logme(f, y))
    assert logme(np.hstack([f, np.zeros((20, 5))]), y) == pytest.approx(logme(f, y))


def test_leep_and_nce_have_their_known_values() -> None:
    y = np.array([0, 0, 1, 1, 1, 2])
    told = np.eye(4)[[3, 3, 0, 0, 1, 2]]  # one source class has two of a target class, none has two targets'
    assert leep(told, y) == nce(told, y) == 0.0
    entropy = -sum(p * np.log(p) for p in (2 / 6, 3 / 6, 1 / 6))
    flat = np.full((6, 4), 0.25)
    assert leep(flat, y) == pytest.approx(-entropy)
    mixed = np.eye(2)[[0, 0, 0, 0, 1, 1]]  # z = 0: two of 0, two of 1; z = 1: one of 1, one of 2
    assert nce(mixed, y) == pytest.approx(-np.log(2))


def test_leep_of_certain_rows_is_nce_and_knows_no_order_of_classes() -> None:
    y, z = RNG.integers(0, 3, 40), RNG.integers(0, 5, 40)
    hard = np.eye(6)[z]  # the sixth class has no mass
    assert leep(hard, y) == pytest.approx(nce(hard, y))
    soft = RNG.dirichlet(np.ones(5), 40)
    assert leep(soft[:, ::-1], y) == pytest.approx(leep(soft, y))
    assert leep(soft, np.array([7, 2, 9])[y]) == pytest.approx(leep(soft, y))


def test_h_score_by_its_definition_and_its_bounds() -> None:
    f, y = rows(60, 4)
    centred = f - f.mean(0)
    means = np.stack([centred[y == one].mean(0) for one in y])
    direct = np.trace(np.linalg.solve(centred.T @ centred, means.T @ means))
    assert h_score(f, y, shrunk=False) == pytest.approx(direct)
    assert 0 <= direct <= 2
    map_ = RNG.normal(size=(4, 4))
    assert h_score(f @ map_ + 1, y, shrunk=False) == pytest.approx(direct)
    wide = RNG.normal(size=(20, 100))
    assert h_score(wide, y[:20], shrunk=False) == pytest.approx(2)  # it says nothing there
    assert h_score(wide, y[:20]) < 1


@pytest.mark.parametrize(("n", "d"), [(50, 5), (20, 60)])
def test_the_share_of_the_identity_is_ledoit_and_wolfs(n: int, d: int) -> None:
    covariance = pytest.importorskip("sklearn.covariance")
    f = RNG.normal(size=(n, d)) * np.linspace(0.1, 3, d)
    assert shrinkage(f - f.mean(0)) == pytest.approx(covariance.LedoitWolf().fit(f).shrinkage_)


def test_parc_is_full_where_rows_are_their_classes() -> None:
    y = np.arange(30) % 3
    centres = np.eye(3)
    assert parc(centres[y], y) == pytest.approx(100)
    f, _ = rows(30, 6)
    assert parc(2 * f + 5, y) == pytest.approx(parc(f, y))  # features are standardised
    turn = np.linalg.qr(RNG.normal(size=(6, 6)))[0]
    assert parc(f @ turn, y, 3) == pytest.approx(parc(f, y, 3))  # principal components
    assert np.isnan(parc(f, np.zeros(30, np.int64)))
    assert parc(np.c_[y, -y, y**2].astype(float), y.astype(float)) > 30


def test_one_nearest_neighbour_leaves_the_row_itself_out() -> None:
    f = np.array([[0.0], [0.1], [5.0], [5.1], [0.2]])
    assert nearest_neighbour(f, np.array([0, 0, 1, 1, 1])) == pytest.approx(0.8)
    assert nearest_neighbour(f, np.array([0.0, 1.0, 2.0, 2.0, 3.0])) == pytest.approx(
        -(1 + 1 + 0 + 0 + 4) / 5
    )
    neighbours = pytest.importorskip("sklearn.neighbors")
    x, y = rows(40, 5)
    near = neighbours.NearestNeighbors(n_neighbors=2).fit(x).kneighbors(x)[1][:, 1]
    assert nearest_neighbour(x, y) == pytest.approx((y[near] == y).mean())


@pytest.mark.parametrize("kind", ["classes", "real"])
def test_the_filters_fisher_is_that_of_autograd(kind: str) -> None:
    x, w, v = (torch.randn(*s, dtype=torch.float64) for s in ((7, 4), (5, 4), (3, 5)))
    w.requires_grad_()
    found = torch.zeros(5, 4, dtype=torch.float64)
    for row in x:
        out = torch.relu(w @ row) @ v.T
        logs = out.log_softmax(0) if kind == "classes" else out  # E (y - out)^2 = 1
        for c in range(3):
            grad = torch.autograd.grad(logs[c], w, retain_graph=True)[0]
            found += (logs[c].exp() if kind == "classes" else 1.0) * grad.square() / 7
    hidden = torch.relu(x @ w.T).detach()
    p = (hidden @ v.T).softmax(1) if kind == "classes" else None
    ours = filter_fisher(x, hidden, v, p)
    np.testing.assert_allclose(ours, found.mean(1).detach(), rtol=1e-10)


def test_distances_of_tasks() -> None:
    a, b = RNG.random(9), RNG.random(9)
    assert task2vec_distance(a, a) == pytest.approx(0)
    assert task2vec_distance(a, b) == pytest.approx(task2vec_distance(b, a))
    assert task2vec_distance(1e-9 * a, 1e-9 * b) == pytest.approx(task2vec_distance(a, b))
    assert task2vec_distance([1.0, 0.0], [0.0, 1.0]) == pytest.approx(1)
    assert Task2Vec()(Pair(np.zeros((1, 1)), np.zeros(1), fishers=(a, a))) == pytest.approx(0)


def test_sources_come_in_the_order_of_the_estimate() -> None:
    y = np.arange(20) % 2
    pairs = {
        "real": Pair(np.zeros((4, 1)), np.arange(4.0)),
        "noise": Pair(RNG.normal(size=(20, 2)), y),
        "classes": Pair(np.c_[y, y].astype(float), y),
    }
    assert [name for name, _ in ordered(pairs, HScore())] == ["classes", "noise", "real"]
    one = {"single": Pair(np.zeros((1, 1)), np.zeros(1, np.int64)), **pairs}
    assert ordered(one, NearestNeighbour())[-1][0] == "single"


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "shapes": (lambda: logme(np.zeros((3, 2)), np.zeros(4)), "do not pair"),
    "not finite": (lambda: parc(np.full((3, 2), np.nan), np.zeros(3)), "not finite"),
    "no probabilities": (lambda: leep(np.ones((3, 2)), np.zeros(3, int)), "no probabilities"),
    "negative": (lambda: task2vec_distance([-1.0], [1.0]), "negative"),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG)
def test_what_is_refused(call: Callable[[], object], said: str) -> None:
    with pytest.raises(MetatlError, match=said):
        call()
