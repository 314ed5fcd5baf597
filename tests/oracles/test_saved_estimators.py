"""Estimators kept as plain arrays predict as scikit-learn's own, on rows that they never saw."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metatl.adapt import Adaptation, Estimator, NearestNeighbours
from metatl.adapt.estimators import classes, frozen, pack, thawed, unpack
from metatl.lab.describe import describe
from metatl.lab.yaml_values import yaml_values
from metatl.testing import check_adaptation
from metatl.transferring.readout import fit_readout, readout_of
from metatl.transferring.rows import FOLDER, parsed
from metatl.types import Batch, Episode, MetatlError
from tests.toys import toy_net, toy_tasks

sklearn = pytest.importorskip("sklearn")
from sklearn import datasets, ensemble, linear_model, neighbors  # noqa: E402

TREES = dict(n_estimators=7, random_state=0)
BOOSTED = dict(max_iter=6, random_state=0, min_samples_leaf=3)
WAYS: dict[str, Any] = {
    "extra classes": ensemble.ExtraTreesClassifier(**TREES),
    "forest classes": ensemble.RandomForestClassifier(**TREES, min_samples_leaf=2),
    "boosted classes": ensemble.HistGradientBoostingClassifier(**BOOSTED),
    "neighbour classes": neighbors.KNeighborsClassifier(5),
    "extra values": ensemble.ExtraTreesRegressor(**TREES),
    "forest values": ensemble.RandomForestRegressor(**TREES),
    "boosted values": ensemble.HistGradientBoostingRegressor(**BOOSTED),
    "boosted counts": ensemble.HistGradientBoostingRegressor(loss="poisson", **BOOSTED),
    "boosted never": ensemble.HistGradientBoostingRegressor(min_samples_leaf=1000),
    "neighbour values": neighbors.KNeighborsRegressor(5),
}


def table(classes: int) -> tuple[Any, Any, Any]:
    """Rows, targets (real for 0 classes) and new rows that come close to what trees split at."""
    held: Any = datasets.load_wine() if classes else datasets.load_diabetes()
    x, y = held.data.astype(np.float32), held.target
    if classes:
        y = np.minimum(y, classes - 1)
    new = np.concatenate([x[1::2], x[::2], (x[:-1:2] + x[1::2]) / 2])
    return x[::2], y[::2], new


def stored(made: Any) -> Any:
    """There and back through JSON and tensors, as a file would."""
    values, tensors = frozen(made)
    kind, parts = unpack(
        {name: one.clone() for name, one in pack("classes", [(values, tensors)] * 2).items()}
    )
    assert kind == "classes"
    assert len(parts) == 2
    for name, one in tensors.items():
        assert torch.equal(parts[1][1][name], one)
    return thawed(json.loads(json.dumps(parts[1][0])), parts[1][1])


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", [name for name in WAYS if name.endswith("classes")])
def test_classes(name: str, classes: int) -> None:
    x, y, new = table(classes)
    made = sklearn.clone(WAYS[name]).fit(x, y + 4)
    found = stored(made)
    np.testing.assert_allclose(found.predict_proba(new), made.predict_proba(new), atol=1e-12)
    np.testing.assert_array_equal(found.predict(new), made.predict(new))
    np.testing.assert_array_equal(found.classes_, made.classes_)


@pytest.mark.parametrize("name", [name for name in WAYS if not name.endswith("classes")])
def test_values(name: str) -> None:
    x, y, new = table(0)
    made = sklearn.clone(WAYS[name]).fit(x, y)
    np.testing.assert_allclose(stored(made).predict(new), made.predict(new), rtol=1e-12)


def test_several_values_and_missing_ones() -> None:
    x, y, new = table(0)
    several = ensemble.ExtraTreesRegressor(**TREES).fit(x, np.stack([y, -y], 1))
    np.testing.assert_allclose(stored(several).predict(new), several.predict(new), rtol=1e-12)
    holes = x.copy()
    holes[np.random.default_rng(0).random(x.shape) < 0.3] = np.nan
    for way in ("boosted values", "forest values"):
        made = sklearn.clone(WAYS[way]).fit(holes, y)
        np.testing.assert_allclose(stored(made).predict(holes), made.predict(holes), rtol=1e-12)


def test_one_class_only() -> None:
    x = np.eye(6, 3, dtype=np.float32)
    for made in (ensemble.HistGradientBoostingClassifier(), ensemble.ExtraTreesClassifier(3)):
        made.fit(x, np.ones(6, int))
        np.testing.assert_allclose(stored(made).predict_proba(x), 1)
        assert stored(made).predict(x).tolist() == [1] * 6


def test_what_cannot_be_kept_is_one_line() -> None:
    x, y, _ = table(2)

    class Own(ensemble.ExtraTreesClassifier):
        """Somebody's own, which may predict in another way."""

    for made, said in [
        (linear_model.LinearRegression(), "LinearRegression cannot be saved"),
        (Own(3), "Own cannot be saved"),
        (neighbors.KNeighborsClassifier(weights="distance"), "uniform"),
        (neighbors.KNeighborsClassifier(500), "n_neighbors is 500"),
    ]:
        with pytest.raises(MetatlError, match=said):
            frozen(made.fit(x, y))


def test_damaged_trees_are_one_line_and_never_run_for_ever() -> None:
    x, y, _ = table(2)
    values, tensors = frozen(ensemble.ExtraTreesClassifier(3, random_state=0).fit(x, y))
    root = {"left": 0, "right": 0}

    def changed(name: str, place: int, value: int) -> dict[str, Tensor]:
        other = tensors[name].clone()
        other[place] = value
        return {**tensors, name: other}

    for bad in (
        (values, changed("left", 1, 0)),
        (values, changed("right", 0, 10**6)),
        (values, changed("feature", 0, 99)),
        (values, changed("roots", 0, -1)),
        (values, {**tensors, "value": tensors["value"][:, :1]}),
        (values, {name: one for name, one in tensors.items() if name not in root}),
        ({**values, "kind": "pickle"}, tensors),
        ({**values, "link": "eval"}, tensors),
        ({**values, "classes": []}, tensors),
    ):
        with pytest.raises(MetatlError, match="damaged"):
            thawed(*bad)
    packed = pack("classes", [(values, tensors)])
    for wrong in ({**packed, "json": packed["json"][:-1]}, {**packed, "ints": packed["ints"][:5]}):
        with pytest.raises(MetatlError, match="damaged"):
            [thawed(*part) for part in unpack(wrong)[1]]


BOTH = {
    "boosted": ("sklearn.ensemble.HistGradientBoosting", {"max_iter": 5, "min_samples_leaf": 1}),
    "trees": ("sklearn.ensemble.ExtraTrees", {"n_estimators": 5}),
    "forest": ("sklearn.ensemble.RandomForest", {"n_estimators": 5}),
}


@dataclass(frozen=True)
class Described:
    """A config of an adaptation alone."""

    adaptation: Adaptation


def pair(name: str, **more: Any) -> Estimator:
    path, options = BOTH[name]
    chosen = {"classifier": path + "Classifier", "regressor": path + "Regressor"}
    return Estimator(chosen, options, **more)


@pytest.mark.parametrize("name", BOTH)
def test_an_estimator_of_two_kinds_keeps_the_laws(name: str) -> None:
    net = toy_net(norm=True)
    check_adaptation(pair(name), net, net.start(), toy_tasks(3))
    check_adaptation(pair(name, on="inputs"), net, net.start(), toy_tasks(3))


@pytest.mark.parametrize("way", [*map(pair, BOTH), Estimator(NearestNeighbours(3))])
def test_what_was_fitted_are_tensors_whatever_the_targets(way: Estimator) -> None:
    net = toy_net()
    x = toy_tasks(3).support.x[0].repeat(3, *[1] * (toy_tasks(3).support.x.dim() - 2))
    n, k = len(x), net.outputs
    targets = {
        "classes": torch.arange(n) % k,
        "labels": torch.rand(n, k) < 0.5,
        "real": torch.rand(n, k, dtype=torch.float64),
    }
    targets["labels"][:, 0] = True  # the same in every row
    for kind, y in targets.items():
        fitted = way.fit(net, net.start(), Batch(x, y), 3)
        assert {name: (one.dtype, one.dim()) for name, one in fitted.items()} == {
            "json": (torch.uint8, 1),
            "ints": (torch.int64, 1),
            "floats": (torch.float64, 1),
        }
        nothing = Batch(x[:0], torch.zeros(0, dtype=torch.int64))  # what a saved model has of its support
        output = way.predict(net, net.start(), fitted, nothing, x)
        assert output.shape == (n, k)
        assert bool(output.isfinite().all())
        answer = way.answer(net, net.start(), Episode(Batch(x, y), Batch(x)), 3)
        torch.testing.assert_close(answer.to(output.dtype), output)
        if kind == "labels":
            assert bool((output[:, 0] > 5).all())
            assert ((output > 0) == y).float().mean() > 0.7
        if kind == "classes":
            torch.testing.assert_close(output.exp().sum(1), torch.ones(n, dtype=output.dtype))


def test_labels_and_values_one_by_one_where_an_estimator_takes_one() -> None:
    net, x = toy_net(), torch.randn(12, 5, dtype=torch.float64)
    net = net if net.outputs == 2 else net.with_outputs(2)
    y = torch.randn(12, 2, dtype=torch.float64)
    way = Estimator("sklearn.ensemble.HistGradientBoostingRegressor", {"min_samples_leaf": 1}, on="inputs")
    found = way.answer(net, net.start(), Episode(Batch(x, y), Batch(x)))
    for j in range(2):
        made = ensemble.HistGradientBoostingRegressor(min_samples_leaf=1, random_state=0).fit(x, y[:, j])
        np.testing.assert_allclose(found[:, j].numpy(), made.predict(x), rtol=1e-4, atol=1e-6)
    labels = Estimator("sklearn.linear_model.LogisticRegression", on="inputs")  # not saved, all the same
    odds = labels.answer(net, net.start(), Episode(Batch(x, y > 0), Batch(x)))
    made = linear_model.LogisticRegression().fit(x, y[:, 1] > 0)
    np.testing.assert_allclose(odds[:, 1].numpy(), made.decision_function(x), rtol=1e-6)


def test_two_kinds_are_named_as_such() -> None:
    for wrong, said in [
        ({"classifier": "NearestNeighbours"}, "classifier and regressor"),
        ({"classifier": "os.system", "regressor": "NearestNeighbours"}, "neither metatl"),
    ]:
        with pytest.raises(MetatlError, match=said):
            Estimator(wrong)


@pytest.mark.parametrize("name", ["boosted-trees", "extra-trees", "nearest-neighbours"])
def test_rows_of_tables_are_configs(name: str) -> None:
    values = yaml_values((FOLDER / f"{name}.yaml").read_text(), name)
    way: Estimator = parsed({"adaptation": values["adaptation"]}, Described, name).adaptation
    assert (values["on"], way.on) == ("inputs", "inputs")
    assert parsed({"adaptation": describe(way)}, Described, name).adaptation == way
    net, (x, y, new) = toy_net(), table(3)
    for target in (torch.tensor(y[::6]), torch.tensor(y[::6])[:, None].double()):
        outputs = 3 if target.dim() == 1 else 1
        net = net.with_outputs(outputs)
        rows, asked = torch.tensor(x[::6]), torch.tensor(new[:4])
        fitted = way.fit(net, net.start(), Batch(rows, target), 1)
        found = way.predict(net, net.start(), fitted, Batch(rows, target), asked)
        assert found.shape == (4, outputs)
    for key, grid in values["select"].items():
        assert len(grid) == len({*grid})
        assert way.options[key.removeprefix("options.")] in grid


def test_without_scikit_learn_a_row_is_there_and_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "find_spec", lambda name: None)
    for module in ("sklearn", "sklearn.ensemble"):
        monkeypatch.setitem(sys.modules, module, None)
    way, net = pair("boosted"), toy_net()
    with pytest.raises(MetatlError, match=r"pip install metatl\[tables\]"):
        way.check(net, net.start(), real=False)


@pytest.mark.parametrize("name", BOTH)
def test_a_saved_model_names_no_class_of_scikit_learn(name: str) -> None:
    """Whatever its targets, it comes back where nothing of a file is trusted."""
    x, y, new = (torch.tensor(part) for part in table(3))
    for target, outputs in ((y, 3), (y[:, None].float(), 1), (torch.stack([y > 0, y > 1], 1), 2)):
        readout = fit_readout(pair(name, on="inputs"), Batch(x, target), outputs)
        told = describe(readout.adaptation.saved)
        assert "sklearn" not in json.dumps(told)
        again = readout_of(told, x.shape[1], outputs, list(readout.buffers()))
        assert torch.equal(again(new), readout(new))
