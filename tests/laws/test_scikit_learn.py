"""Classifier and Regressor as scikit-learn has them, on whatever rows Python holds."""

from __future__ import annotations

import csv
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from metatl import Classifier, MetatlError, Regressor
from metatl.lab import store
from tests import tiny_texts
from tests.commands import metatl

pytest.importorskip("sklearn")

from sklearn import datasets
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")
_CLASSES = "the method takes classes alone, and this check gives several labels at once"
FAILING: dict[str, dict[str, str]] = {
    "nearest-centroid": {
        "check_classifier_multioutput": _CLASSES,
        "check_classifiers_multilabel_representation_invariance": _CLASSES,
        "check_classifiers_multilabel_output_format_predict": _CLASSES,
        "check_classifiers_multilabel_output_format_predict_proba": _CLASSES,
        "check_classifiers_multilabel_output_format_decision_function": _CLASSES,
    },
}
"""Checks that fail, by method, each with the reason; of the default, ridge, trees and neighbours none do."""
SKIPPED = {
    "check_array_api_input",  # asked for by a variable of the environment
    "check_classifier_data_not_an_array",  # needs pandas
    "check_regressor_data_not_an_array",
    "check_classifiers_multilabel_output_format_decision_function",  # there is predict_proba
}


@pytest.mark.parametrize(
    "made",
    [Classifier(), Regressor(), Classifier(method="nearest-centroid"), Classifier(method="ridge")],
    ids=repr,
)
def test_scikit_learn_s_own_checks(made: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their own making, and that the class is not derived from theirs
        found = check_estimator(
            made, expected_failed_checks=FAILING.get(made.method, {}), on_fail="raise", on_skip=None
        )
    assert len(found) > 40
    odd = {one["check_name"]: str(one["exception"]) for one in found if one["status"] == "skipped"}
    assert {*odd} <= SKIPPED, odd
    xfailed = {one["check_name"] for one in found if one["status"] == "xfail"}
    assert xfailed == {*FAILING.get(made.method, {})}, "a reason for what does not fail"


@pytest.mark.parametrize("load", [datasets.load_wine, datasets.load_breast_cancer])
@pytest.mark.parametrize("method", [None, "nearest-neighbours"])
def test_cross_val_score_of_classes(load: Any, method: str | None) -> None:
    x, y = load(return_X_y=True)
    found = cross_val_score(Classifier(method=method), x, y, cv=3)
    assert found.mean() > 0.93
    assert cross_val_score(Classifier(method=method), x, y, cv=3, scoring="roc_auc_ovr").mean() > 0.97


def test_cross_val_score_of_real_values() -> None:
    x, y = datasets.load_diabetes(return_X_y=True)
    assert cross_val_score(Regressor(), x, y, cv=3).mean() > 0.4
    both = cross_val_score(Regressor(), x, np.stack([y, -2 * y], 1), cv=3)
    np.testing.assert_allclose(both, cross_val_score(Regressor(), x, y, cv=3), atol=1e-4)


def test_a_grid_over_methods_values_and_labels() -> None:
    x, y = datasets.load_wine(return_X_y=True)
    grid = [
        {"method": ["nearest-centroid", "linear-discriminant"]},
        {"method": ["ridge"], "values": [{"solver.l2": 1e6}, {"solver.l2": 1.0}]},
        {"labelled": [1, None]},
    ]
    search = GridSearchCV(Classifier(), grid, cv=3).fit(x, y)
    scores = dict(
        zip(map(str, search.cv_results_["params"]), search.cv_results_["mean_test_score"], strict=True)
    )
    assert len(scores) == 6
    assert scores["{'labelled': None}"] > scores["{'labelled': 1}"]
    assert np.isfinite([*scores.values()]).all()
    assert search.best_score_ > 0.96
    assert search.predict(x).shape == y.shape
    fitted = Classifier(method="ridge", values={"solver.l2": 3.0}).fit(x, y)
    assert fitted.model.made["selected"] == {}
    way: Any = fitted.model.module.readout.adaptation
    assert way.solver.l2 == 3.0


def test_a_pipeline_is_fitted_copied_and_kept() -> None:
    x, y = datasets.load_breast_cancer(return_X_y=True)
    pipe = make_pipeline(StandardScaler(), Classifier(method="logistic-regression"))
    assert is_classifier(pipe)
    assert is_regressor(Regressor())
    pipe.fit(x, y)
    alone = Classifier().fit(x, y)
    np.testing.assert_allclose(pipe.predict_proba(x), alone.predict_proba(x), atol=1e-3)
    again = pickle.loads(pickle.dumps(pipe))
    assert np.array_equal(again.predict_proba(x), pipe.predict_proba(x))
    other: Any = clone(pipe)
    other.set_params(classifier__method="ridge")
    assert "method='ridge'" in repr(other)
    with pytest.raises(NotFittedError, match="not fitted"):
        other[-1].predict(x)
    assert "method" in getattr(pipe, "_repr_html_")()  # noqa: B009 - as a notebook asks


def test_it_is_what_the_command_saves(tmp_path: Path) -> None:
    """One path: rows, encoder, folds, values, layer: all bytes of the weights are the command's."""
    data: Any = datasets.load_wine()
    names = [name.replace("/", " ") for name in data.feature_names]
    with (tmp_path / "wine.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [[*names, "class"], *[[*x, f"k{y}"] for x, y in zip(data.data, data.target, strict=True)]]
        )
    words = ("--target", "class", "--methods", "ridge", "--labelled", "all", "--minutes", "0.3")
    assert metatl("transfer", tmp_path / "wine.csv", *words, "--out", tmp_path / "o").code == 0
    found = Classifier(method=store.read_json(tmp_path / "o/model/model.json")["made"]["method"])
    found.fit(dict(zip(names, data.data.T, strict=True)), [f"k{y}" for y in data.target]).save(tmp_path / "m")
    weights = "weights.safetensors"
    assert (tmp_path / "m" / weights).read_bytes() == (tmp_path / "o/model" / weights).read_bytes()
    said = [
        metatl("predict", folder, tmp_path / "wine.csv").out for folder in (tmp_path / "o", tmp_path / "m")
    ]
    assert said[0] == said[1]
    loaded = Classifier.load(tmp_path / "o/model")
    assert np.array_equal(loaded.predict_proba(data.data), found.predict_proba(data.data))
    assert loaded.n_features_in_ == 13


def mixed(count: int, seed: int = 0) -> tuple[dict[str, Any], list[str]]:
    """Columns of every type by name, and classes that they tell."""
    rng = np.random.default_rng(seed)
    ward, dose = rng.choice(["north", "south"], count), rng.normal(size=count)
    y = ["ill" if d + (w == "south") > 0.5 else "well" for w, d in zip(ward, dose, strict=True)]
    dose[::9] = np.nan
    day = np.datetime64("2024-01-01") + rng.integers(0, 300, count).astype("timedelta64[D]")
    return {"ward": ward, "dose": dose, "day": day, "smokes": rng.random(count) < 0.5}, y


@pytest.mark.parametrize("frame", [False, True])
def test_columns_of_every_type_by_name(frame: bool, tmp_path: Path) -> None:
    x, y = mixed(90)
    if frame:
        x = pytest.importorskip("pandas").DataFrame(x)
    found = Classifier(method="extra-trees", values={"options.n_estimators": 20}).fit(x, y)
    assert found.score(x, y) > 0.9
    assert found.n_features_in_ == 4
    turned = {name: x[name] for name in reversed([*x])}
    assert np.array_equal(found.predict_proba(turned), found.predict_proba(x)), "columns are known by name"
    some = {name: np.asarray(x[name][:3]) for name in x}
    some["ward"] = np.array(["a ward that nobody saw", "south", "north"])
    with pytest.warns(UserWarning, match="1 value of ward not seen when fitted, taken as unknown"):
        unseen = found.predict_proba(some)
    assert np.array_equal(
        unseen[1:],
        found.predict_proba({**some, "ward": np.array(["south", "south", "north"])})[1:],
    )
    found.save(tmp_path)
    assert np.array_equal(Classifier.load(tmp_path).predict(x), found.predict(x))
    if frame:
        assert found.feature_names_in_.tolist() == [*x]
        assert Classifier.load(tmp_path).feature_names_in_.tolist() == [*x]
    with pytest.raises(ValueError, match="no column 'dose'"):
        found.predict({name: x[name] for name in x if name != "dose"})
    with pytest.raises(ValueError, match="dose is 'much'"):
        found.predict({**turned, "dose": ["much"] * 90})


def test_objects_in_a_matrix_are_columns() -> None:
    x, y = mixed(60)
    table = np.array([[w, d, s] for w, d, s in zip(x["ward"], x["dose"], x["smokes"], strict=True)], object)
    found = Classifier().fit(table, y)
    assert found.score(table, y) > 0.8
    assert found.model.preparation.plan.uses == {"x0": "category", "x1": "number", "x2": "boolean"}
    assert np.array_equal(found.predict(table.tolist()), found.predict(table))


def test_several_labels_and_several_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 4))
    labels = x[:, :3] > 0
    found = Classifier().fit(x, labels)
    assert found.predict(x).dtype == bool
    assert found.predict_proba(x).shape == (80, 3)
    assert found.score(x, labels) > 0.7
    assert Classifier().fit(x, labels.astype(int)).predict(x).dtype.kind == "i"
    found.save(tmp_path / "c")
    assert np.array_equal(Classifier.load(tmp_path / "c").predict(x), found.predict(x))
    y = x @ rng.normal(size=(4, 2))
    values = Regressor().fit(torch.from_numpy(x), torch.from_numpy(y))
    assert values.predict(x).shape == (80, 2)
    assert values.score(x, y) > 0.98
    values.save(tmp_path / "r")
    assert np.array_equal(Regressor.load(tmp_path / "r").predict(x), values.predict(x))
    assert Regressor().fit(x, y[:, 0]).predict(x).shape == (80,)
    with pytest.raises(MetatlError, match="predicts real, which is nothing for a Classifier"):
        Classifier.load(tmp_path / "r")


def test_a_net_is_learned_on_a_source(tmp_path: Path) -> None:
    """A problem of a few rows, in columns whose meaning the source tells."""
    rng = np.random.default_rng(0)
    x, there = rng.normal(size=(12, 5)), rng.normal(size=(600, 5))
    asked = rng.normal(size=(200, 5))

    def y(of: Any) -> Any:
        return (of[:, 0] * of[:, 1] > 0).astype(int)

    alone = Classifier().fit(x, y(x))
    found = Classifier(source=(there, y(there))).fit(x, y(x))
    assert found.score(asked, y(asked)) > alone.score(asked, y(asked)) + 0.1
    module = found.to_module()
    assert sum(p.numel() for p in module.parameters()) > 1000, "a net"
    found.save(tmp_path)
    assert np.array_equal(Classifier.load(tmp_path).predict(asked), found.predict(asked))
    tuned = Classifier(method="lp-ft", source=(there, y(there)), values={"rule.lr": 1e-3}).fit(x, y(x))
    assert tuned.score(asked, y(asked)) > alone.score(asked, y(asked)) + 0.1
    copied: Any = clone(tuned)
    assert copied.source is not None


def test_texts(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    net = f"hf:{tiny_texts.folder(tmp_path / 'net')}"
    texts = [
        f"{a} {b}" for a in ("send", "move", "cash", "rain", "snow", "wind") for b in ("my money", "a bill")
    ]
    y = ["bank"] * 6 + ["weather"] * 6
    found = Classifier(net=net).fit(texts, y)
    assert found.score(texts, y) > 0.7
    column = np.array(texts, object)[:, None]
    assert np.array_equal(found.predict_proba(column), found.predict_proba(texts)), "the only column"
    assert cross_val_score(Classifier(net=net, method="nearest-centroid"), texts, y, cv=2).shape == (2,)
    for i, text in enumerate(texts[:2]):
        (tmp_path / f"{i}.txt").write_text(text)
    files = [tmp_path / f"{i}.txt" for i in range(2)]
    assert np.allclose(found.predict_proba(files), found.predict_proba(texts[:2]), atol=1e-6)
    found.save(tmp_path / "m")
    assert metatl("predict", tmp_path / "m", *files).out.count("bank") == 2
    with pytest.raises(ValueError, match="row 1: the text is empty"):
        found.predict(["send money", " "])
    with pytest.raises(ValueError, match="reads sentences, and these are rows"):
        found.predict(np.zeros((2, 3)))


def test_windows_pictures_and_recordings_are_told_by_their_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    y = np.arange(16) % 2
    windows = rng.normal(size=(16, 3, 40)) * (1 + 2 * y[:, None, None])
    found = Classifier().fit(windows, y)
    assert found.score(windows, y) == 1
    assert "channel 2 deviation" in found.model.preparation.columns
    grey = (80 * y[:, None, None] + rng.integers(0, 100, (16, 9, 9))).astype(np.uint8)
    pictured = Classifier(net="Conv4", size=12, method="nearest-centroid").fit(grey, y)
    assert np.array_equal(
        pictured.predict_proba([Image.fromarray(one) for one in grey]), pictured.predict_proba(grey)
    )
    for i, label in enumerate(y[:8]):
        wavfile.write(
            tmp_path / f"{i}.wav", 8000, np.sin(np.arange(4000) * (0.1 + 0.5 * label)).astype(np.float32)
        )
    files = [str(tmp_path / f"{i}.wav") for i in range(8)]
    heard = Classifier().fit(files, y[:8])
    assert heard.predict(files).tolist() == y[:8].tolist()
    assert heard.model.reader.unit == "recording"
    (tmp_path / "5.wav").write_bytes(b"no sound")
    with pytest.raises(ValueError, match=r"5\.wav: cannot be read as a wav file"):
        heard.predict(files)


X, Y = np.arange(24.0).reshape(12, 2), [0, 1] * 6


@pytest.mark.parametrize(
    ("made", "x", "y", "said"),
    [
        (Classifier(), X, [0.5, 1.5] * 6, "continuous.*use Regressor"),
        (Regressor(), X, ["a", "b"] * 6, "real targets are numbers; use Classifier"),
        (Classifier(), X, [1, "1"] * 6, "one kind"),
        (Classifier(), X, [[0, 2]] * 12, "columns of booleans, or 0 and 1"),
        (Classifier(), X, None, "requires y to be passed"),
        (Classifier(), X, [1.0, np.nan] * 6, "y holds NaN"),
        (Classifier(), np.ones((12, 2)), Y, "no column tells its 12 rows apart"),
        (Classifier(), X[:, 0], Y, "Reshape your data"),
        (Classifier(), [[1], [1, 2]] * 6, Y, "rows differ in length"),
        (Classifier(method="rigde"), X, Y, "nearest: ridge"),
        (Classifier(method="lora"), X, Y, "moves the body of a net, and there is none"),
        (Classifier(method="gtl"), X, Y, "learns on a source first"),
        (Regressor(method="nearest-centroid"), X, Y, "does not fit these targets"),
        (Classifier(values={"solver.l3": 1.0}), X, Y, "no field 'l3'.*l2"),
        (Classifier(labelled=7), X, Y, "there are 1 to 6 rows"),
        (Classifier(size=20), X, Y, "there is none; leave it out"),
        (Classifier(net="Conv4"), ["a text", "b"] * 6, Y, "a text: "),
        (Classifier(net="efficientnet_lite9"), X, Y, "efficientnet_lite0"),
        (Classifier(source=({"other": X[:, 0]}, Y)), X, Y, "no column of"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_one_line(made: Any, x: Any, y: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said) as found:
        made.fit(x, y)
    assert isinstance(found.value, MetatlError)
    assert "\n" not in str(found.value)


def test_parameters_have_names() -> None:
    with pytest.raises(ValueError, match="no parameter 'methods': net, method"):
        Classifier().set_params(methods="ridge")
    assert repr(Regressor(method="ridge", seed=3)) == "Regressor(method='ridge', seed=3)"
    with pytest.raises(TypeError):
        Classifier().fit(X, Y, sample_weight=[1] * 12)  # pyright: ignore[reportCallIssue] - rows count alike


def test_what_new_rows_have_that_says_nothing_is_a_warning() -> None:
    """The command wrote it; in Python unknown words and infinities passed without one."""
    rows = {"word": ["a", "b"] * 6, "size": [float(i) for i in range(12)]}
    made = Classifier().fit(rows, ["x", "y"] * 6)
    for column, value, said in (
        ("word", "new", "1 value of word not seen when fitted, taken as unknown"),
        ("size", float("inf"), "column size: 1 infinite values are taken as missing"),
        ("extra", 1, "extra unknown to the model, ignored"),
    ):
        with pytest.warns(UserWarning, match=said):
            made.predict({"word": ["a"], "size": [1.0]} | {column: [value]})
    with pytest.warns(UserWarning, match="infinite"):
        Classifier().fit(rows | {"size": [float("inf"), *rows["size"][1:]]}, ["x", "y"] * 6)


@pytest.mark.parametrize("dtype", ["S1", object])
def test_classes_that_are_bytes_are_refused(dtype: Any) -> None:
    """They were answered as texts of their printed form, and the score of every model was 0."""
    with pytest.raises(MetatlError, match="these are bytes; decode them"):
        Classifier().fit(np.arange(8.0).reshape(8, 1), np.array([b"x", b"y"] * 4, dtype))
