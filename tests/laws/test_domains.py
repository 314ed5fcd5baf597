"""Domains: files of all layouts, labels of the target that nobody reads, moments of the target, refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl import Descent, Net, evaluate, train, tree
from metatl.data import Domain, DomainData, Domains, Tasks
from metatl.engines import Loop
from metatl.evaluation.evaluate import Evaluation
from metatl.learners import Supervised
from metatl.models import LeNet
from metatl.norm import Rows, moments_from
from metatl.objectives import DANN, MMD, DeepCORAL, Entropy, PseudoLabels, TaskLoss, Term
from metatl.rules import SGD, Adam
from metatl.testing import check_learner
from metatl.types import Batch, Episode, MetatlError, Transfer

RNG = np.random.default_rng(0)
TASKS = Tasks(3, 4, 2)


def pictures(count: int, *more: int, dtype: Any = np.uint8) -> Any:
    return RNG.integers(0, 256, (count, 12, 12, *more)).astype(dtype)


def held(path: Path, **arrays: Any) -> str:
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Grey pictures in four arrays, coloured ones with a split, 16-bit ones of another size with a scale."""
    y, some = np.arange(30) % 3, np.arange(12) % 3
    x = RNG.integers(0, 256, (30, 16, 16)).astype(np.uint16)
    return {
        "grey": held(tmp_path / "a.npz", x_train=pictures(30), y_train=y, x_test=pictures(12), y_test=some),
        "colour": held(tmp_path / "b.npz", x=pictures(30, 3), y=y.astype(np.uint8), split=np.arange(30) % 2),
        "other": held(
            tmp_path / "c.npz",
            x_train_u16=x,
            y_train=y,
            x_test_u16=x[:12],
            y_test=some,
            scale=np.float64(1 / 255),
        ),
    }


def domains(files: dict[str, str], *sources: str, target: str, **more: Any) -> DomainData:
    return Domains(files, sources, target, **more).load()


def test_files_of_three_layouts_become_alike(files: dict[str, str]) -> None:
    data = domains(files, "grey", target="colour")
    assert data.shape == (3, 12, 12)
    told = data.describe()
    assert (told["meta_train"]["examples"], told["meta_val"]["examples"]) == (27, 3)
    assert (told["meta_test"]["examples"], told["unlabelled"]) == (15, {"grey": 30, "colour": 15})
    grey = data.batch("meta_train", 5, 0, 0).x
    assert torch.equal(grey[:, 0], grey[:, 2])
    both = domains(files, "grey", "other", target="colour", size=8)
    assert both.shape == (3, 8, 8)
    assert float(both.of_domain("other", 30, 0, 0).x.max()) <= 1.0
    raw = np.load(files["other"])["x_train_u16"] / 255
    mean = raw.reshape(30, 8, 2, 8, 2).mean((2, 4)).sum()
    assert float(both.of_domain("other", 30, 0, 0).x[:, 0].sum()) == pytest.approx(mean, rel=1e-5)
    both.check("meta_val", TASKS)


def test_a_column_names_the_domain(tmp_path: Path) -> None:
    where = np.array(["a", "b"])[np.arange(60) % 2]
    x, y = RNG.normal(size=(60, 4)).astype(np.float32), np.arange(60) // 2 % 3
    path = held(tmp_path / "rows.npz", x=x, y=y, site=where)
    data = domains({"all": path}, "a", target="b", column="site", rows=20)
    assert data.describe()["unlabelled"] == {"a": 20, "b": 20}
    seen = data.of_domain(None, 20, 0, 0).x
    own = {tuple(row) for row in x[where == "b"].tolist()}
    assert all(tuple(row) in own for row in seen.tolist())
    judged = {tuple(row) for row in data.rows("meta_test").tolist()}
    assert judged <= own
    assert not judged & {tuple(row) for row in seen.tolist()}


def test_episodes_are_blocks_of_the_target_without_support_labels(files: dict[str, str]) -> None:
    data = domains(files, "other", target="grey", size=12)
    drawn = data.draw("meta_test", TASKS, 0, 0, 2)
    assert drawn.support.y is None
    assert drawn.support.x.shape == (2, 12, 1, 12, 12)
    seen = {tuple(row.flatten().tolist()) for row in drawn.query.x.flatten(0, 1)}
    assert len(seen) == 12
    again = data.draw("meta_test", TASKS, 0, 1, 1)
    assert torch.equal(again.query.x[0], drawn.query.x[1])
    val = domains(files, "other", target="grey", size=12, held_out=0.3).draw("meta_val", TASKS, 0, 0, 1)
    assert torch.isin(val.support.x, data.unlabelled["other"].all).all()


def learned(data: DomainData, *terms: Term, steps: int = 2) -> Transfer:
    torch.manual_seed(0)
    net = Net.of(LeNet(data.shape, 3, (4,), (8,), 3, norm=True))
    learner = Supervised(steps, 8, SGD(0.1), (TaskLoss(), *terms), streams={"target": Domain(size=8)})
    learner.check(net, net.start(), data)
    return train(learner, net, Loop(), learner.init(net, net.start()), data, 0).transfer


@pytest.mark.parametrize("poison", [np.full(30, -(2**31)), np.full(30, np.nan)], ids=["integers", "nan"])
def test_labels_of_the_target_change_no_byte(files: dict[str, str], tmp_path: Path, poison: Any) -> None:
    terms = (DANN(hidden=4), DeepCORAL(), MMD(), Entropy(), PseudoLabels(threshold=0.3))
    clean = domains(files, "other", target="grey", size=12)
    arrays = {**np.load(files["grey"]), "y_train": poison}
    bad = domains({**files, "grey": held(tmp_path / "bad.npz", **arrays)}, "other", target="grey", size=12)
    assert clean.content == bad.content
    one, two = learned(clean, *terms), learned(bad, *terms)
    for a, b in zip(one.groups(), two.groups(), strict=True):
        assert all(torch.equal(a[name], b[name]) for name in a)
    plain = learned(clean)
    assert not torch.equal(one.params["head.weight"], plain.params["head.weight"])


def test_a_learner_on_domains_keeps_its_laws(files: dict[str, str]) -> None:
    data = domains(files, "other", target="grey", size=12)
    net = Net.of(LeNet(data.shape, 3, (4,), (8,), 3))
    learner = Supervised(2, 8, Adam(0.01), (TaskLoss(), DANN()), streams={"target": Domain(size=8)})
    check_learner(learner, net, net.start(), data)


def test_adabn_with_source_rows_is_the_source_net_with_its_own_moments(files: dict[str, str]) -> None:
    data = domains(files, "grey", target="other", size=12)
    carried, way = learned(data), Descent(steps=0, moments="support")
    net = Net.of(LeNet(data.shape, 3, (4,), (8,), 3, norm=True)).with_outputs(3)
    x, queries = data.rows("meta_train"), data.rows("meta_test")
    sink: dict[Any, Any] = {}
    with moments_from(Rows(first=len(x), sink=sink)):  # of all source rows, over n
        net(carried.params, carried.buffers, x)
    own = replace(carried, buffers=net.updated_buffers(carried.buffers, sink, 1.0))
    found = way.answer(net, carried, Episode(Batch(x), Batch(queries)))
    wanted = Descent(steps=0, moments="frozen").answer(net, own, Episode(Batch(x), Batch(queries)))
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    other = way.answer(net, carried, Episode(Batch(queries), Batch(queries)))
    assert not torch.allclose(found, other, atol=1e-3)


def test_tent_moves_the_norms_alone_and_lowers_the_entropy(files: dict[str, str]) -> None:
    data = domains(files, "grey", target="other", size=12)
    carried = learned(data)
    net = Net.of(LeNet(data.shape, 3, (4,), (8,), 3, norm=True)).with_outputs(3)
    guide = {n: torch.full((), float(n.startswith("convolutions.1."))) for n in carried.params}
    tent = Descent(SGD(0.5), 5, terms=(Entropy(),), moments="support")
    support = tree.at(data.draw("meta_test", TASKS, 0, 0, 1).support, 0)
    points = list(tent.trajectory(net, replace(carried, guide=guide), support, "first_order"))
    moved = {n for n, p in points[-1].params.items() if not torch.equal(p, carried.params[n])}
    assert moved == {"convolutions.1.weight", "convolutions.1.bias"}
    losses = [float(point.loss) for point in points if point.loss is not None]
    assert losses[-1] < losses[0]


def test_what_reads_labels_is_refused_where_there_are_none(files: dict[str, str]) -> None:
    data = domains(files, "grey", target="other", size=12)
    net, shape = Net.of(LeNet(data.shape, 3, (4,), (8,), 3)), Evaluation(TASKS, 2)
    with pytest.raises(MetatlError, match="have no labels"):
        evaluate(net, net.start(), Descent(SGD(0.1), 2), data, shape, Loop())
    assert len(evaluate(net, net.start(), Descent(steps=0), data, shape, Loop()).scores) == 2


def test_bad_domains_are_refused(files: dict[str, str], tmp_path: Path) -> None:
    y = np.arange(30) % 3

    def one(said: str, *sources: str, target: str, **more: Any) -> None:
        with pytest.raises(MetatlError, match=said):
            domains({**files, **more.pop("files", {})}, *sources, target=target, **more)

    one("nearest: colour", "grey", target="color")
    one("sources is empty", target="grey")
    one("give pictures a size", "grey", target="other")
    one("held_out", "grey", target="colour", held_out=1.0)
    one("rows is 1", "grey", target="colour", rows=1)
    one("one file", "grey", target="colour", column="site")
    alone = held(tmp_path / "d.npz", x=pictures(30), y=0 * y)
    one("one class, '0'", "d", target="grey", files={"d": alone})
    one("open set", "grey", target="e", files={"e": held(tmp_path / "e.npz", x=pictures(30), y=y + 1)})
    one("needs x and y", "f", target="grey", files={"f": held(tmp_path / "f.npz", x=y)})
    nobody = held(tmp_path / "g.npz", x=pictures(30), y=y, split=0 * y)
    one("has 0 rows", "grey", target="g", files={"g": nobody})
    data = domains(files, "grey", target="colour")
    with pytest.raises(MetatlError, match="lower query"):
        data.check("meta_test", Tasks(3, 1, 6))
    with pytest.raises(MetatlError, match="give all of them"):
        data.check("meta_test", Tasks(2, 1, 1))
    with pytest.raises(MetatlError, match="no domain 'gray'"):
        Domain("gray").check(data)
    with pytest.raises(MetatlError, match="size"):
        Domain(size=0).check(data)
    with pytest.raises(MetatlError, match="too small"):
        LeNet((1, 6, 6), 3)
