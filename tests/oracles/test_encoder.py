"""Columns as inputs against scikit-learn's ColumnTransformer, before and after saving."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metatl.data.tables import Columns, Encoder, read_table
from metatl.types import MetatlError

pytest.importorskip("sklearn")
N = 60


def rows(n: int = N, seed: int = 0, letters: int = 4) -> Columns:
    """Every kind of column, with missing values and without."""
    draw = np.random.default_rng(seed)
    words = np.array([f"w{i:03d}" for i in range(letters)])
    holes = draw.random((6, n)) < 0.2
    days = np.datetime64("2020-02-27", "s") + draw.integers(0, 4e8, n)
    return read_table(
        {
            "a": draw.normal(50, 9, n),
            "b": np.where(holes[0], np.nan, draw.normal(0, 1e-3, n)),
            "ward": draw.choice(words, n).astype(object),
            "site": np.where(holes[1], None, draw.choice(words, n).astype(object)),
            "ok": draw.random(n) < 0.4,
            "ill": np.where(holes[2], None, (draw.random(n) < 0.7).astype(object)),
            "day": days,
            "seen": np.where(holes[3], np.datetime64("NaT"), days[::-1]),
            "note": [f"text {i} {draw.integers(9)}" for i in range(n)],
            "same": [3.0] * n,
            "none": [None] * n,
        }
    )


def theirs(fitted: Columns, new: Columns) -> Any:
    """The same by a ColumnTransformer."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def matrix(columns: Columns) -> Any:
        found = [columns["a"], columns["b"]]
        for name in ("day", "seen"):
            stamps = columns[name].tolist()
            earliest = min(stamp for stamp in fitted[name].tolist() if stamp is not None)
            found += [
                [np.nan if s is None else part(s, earliest) for s in stamps]
                for part in (
                    lambda s, _: s.year,
                    lambda s, _: s.month,
                    lambda s, _: s.weekday(),
                    lambda s, e: (s - e).total_seconds() / 86400,
                )
            ]
        found += [columns["ok"].astype(float), columns["ill"].astype(float)]
        held = np.empty((columns.rows, 14), object)
        for i, column in enumerate([*found, columns["ward"], columns["site"]]):
            held[:, i] = column
        return held

    one_hot = OneHotEncoder(handle_unknown="ignore", max_categories=51, sparse_output=False)
    numbers = make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler())
    yes_no = SimpleImputer(strategy="most_frequent", add_indicator=True)
    transformer = ColumnTransformer(
        [("n", numbers, [*range(10)]), ("b", yes_no, [10, 11]), ("c", one_hot, [12, 13])],
        sparse_threshold=0,
    )
    transformer.set_output(transform="default")
    held = matrix(fitted)
    held[:, 10:12] = held[:, 10:12].astype(float)
    transformer.fit(held)
    return transformer.transform(matrix(new)).astype(np.float32)


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6), letters=st.sampled_from([2, 5, 120]))
def test_it_is_a_column_transformer(seed: int, letters: int) -> None:
    fitted, new = rows(150, seed, letters), rows(40, seed + 1, letters + 3)
    encoder = Encoder.fit(fitted)
    for columns in (fitted, new):
        found = encoder(columns)
        assert found.dtype == torch.float32
        assert tuple(found.shape) == (columns.rows, len(encoder.names))
        np.testing.assert_allclose(found.numpy(), theirs(fitted, columns), atol=1e-6)


def test_outputs_have_names_and_what_is_left_out_has_reasons() -> None:
    encoder = Encoder.fit(rows())
    assert {*encoder.left_out} == {"note", "same", "none"}
    assert encoder.columns == ("a", "b", "ward", "site", "ok", "ill", "day", "seen")
    assert "b missing" in encoder.names
    assert "a missing" not in encoder.names
    assert {"ward=w000", "site missing", "ill missing", "day weekday", "seen days missing"} <= {
        *encoder.names
    }
    many = Encoder.fit(rows(400, letters=120))
    assert sum(name.startswith("ward=") for name in many.names) == 50
    assert "ward: other" in many.names


def test_it_comes_back_from_plain_values_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, new = Encoder.fit(rows()), rows(9, 3)
    values, tensors = encoder.values()
    values = json.loads(json.dumps(values))
    for module in [name for name in sys.modules if name.partition(".")[0] == "sklearn"]:
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MetatlError, match=r"pip install metatl\[tables\]"):
        Encoder.fit(rows())
    again = Encoder.of(values, tensors)
    assert torch.equal(again(new), encoder(new))
    assert again.names == encoder.names
    assert again.unknown(new) == encoder.unknown(new)
    assert again.formats == encoder.formats
    for broken in (
        {**values, "categories": {}},
        {**values, "uses": {"a": "number"}},
        {name: value for name, value in values.items() if name != "earliest"},
    ):
        with pytest.raises(MetatlError, match="damaged"):
            Encoder.of(broken, tensors)


def test_unseen_categories_are_unknown_and_counted() -> None:
    encoder = Encoder.fit(rows())
    new = rows(8, 1)
    new.arrays["ward"][:3] = ["new", "newer", "new"]  # pyright: ignore[reportArgumentType]
    new.arrays["site"][:] = None
    assert encoder.unknown(new) == {"ward": 3}
    places = [i for i, name in enumerate(encoder.names) if name.startswith("ward=")]
    assert encoder(new)[:3, places].abs().sum() == 0
    assert encoder(new)[3:, places].sum() == 5
    more = Columns({**new.arrays, "extra": new["a"]}, "more.csv")
    assert torch.equal(encoder(more), encoder(new))
    assert any("extra" in note and "ignored" in note for note in encoder.notes(more))
    assert any("3 values of ward" in note for note in encoder.notes(more))


def test_columns_that_lack_or_have_another_type_are_one_line() -> None:
    encoder = Encoder.fit(rows())
    new = rows(8, 1)
    with pytest.raises(MetatlError, match="no column 'ward', 'ok'"):
        encoder(new.drop(["ward", "ok"]))
    words, numbers = np.array(["x"] * 8, object), np.arange(8.0)
    for name, values, said in [
        ("a", words, "row 1: a is 'x'; this column held numbers"),
        ("ok", numbers, "row 1: ok is '0'; this column held booleans"),
        ("day", words, "held dates"),
        ("ward", numbers, "held categories"),
    ]:
        with pytest.raises(MetatlError, match=said):
            encoder(Columns({**new.arrays, name: values}))
    for name in encoder.columns:  # a column without any value is of any type
        found = encoder(Columns({**new.arrays, name: np.full(8, np.nan)}))
        assert bool(found.isfinite().all())
    with pytest.raises(MetatlError, match="same value"):
        Encoder.fit(read_table({"a": [1, 1], "b": ["x", "x"]}))


def test_real_tables() -> None:
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    for load in (datasets.load_wine, datasets.load_breast_cancer, datasets.load_diabetes):
        held: Any = load()
        columns = read_table(dict(zip(held.feature_names, held.data.T, strict=True)))
        numbers = [name for name in Encoder.fit(columns).columns if columns.formats[name] == "number"]
        assert numbers == list(held.feature_names)
        expected = StandardScaler().fit_transform(held.data)
        np.testing.assert_allclose(Encoder.fit(columns)(columns).numpy(), expected, atol=1e-6)
