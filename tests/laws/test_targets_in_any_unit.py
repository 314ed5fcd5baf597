"""Real targets of any unit and place: what is learned, told and judged is the same in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from metatl import Classifier, MetatlError, Regressor, transfer
from metatl.data.given_targets import real_targets
from metatl.data.targets import Targets
from metatl.evaluation.scores import SCORES
from metatl.transferring.doubt import doubts
from metatl.transferring.judging import Scale, figures, judge
from metatl.transferring.open_model import open_model
from metatl.transferring.predict import predict
from metatl.transferring.scores import worse
from metatl.transferring.transfer import Words

pytest.importorskip("sklearn")
pytestmark = pytest.mark.usefixtures("own_cache", "one_thread")

UNITS = [(1e-6, 0.0), (1e-25, 0.0), (1e30, 2e30), (1.0, 1.7e9), (1e-3, 1e5)]
"""Unit and place: micrometres, masses of molecules and stars, seconds since 1970, a scale with a tare."""


def drawn(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(count, 3))
    return x, x @ [2.0, -1.0, 0.5] + 0.3 * rng.normal(size=count)


@pytest.mark.parametrize(("unit", "place"), UNITS)
def test_predictions_and_intervals_are_the_same_in_every_unit(unit: float, place: float) -> None:
    x, y = drawn(90)
    plain, other = (Regressor(method="bayes").fit(x[:40], at[:40]) for at in (y, unit * y + place))
    for one, two in zip(plain.predict_interval(x[40:]), other.predict_interval(x[40:]), strict=True):
        np.testing.assert_allclose((two - place) / unit, one, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose((other.predict(x) - place) / unit, plain.predict(x), rtol=1e-4, atol=1e-4)
    assert other.coverage(x[40:], unit * y[40:] + place) == plain.coverage(x[40:], y[40:])


@pytest.mark.parametrize(("unit", "place"), UNITS)
def test_a_table_judges_and_tells_in_the_targets_unit(tmp_path: Path, unit: float, place: float) -> None:
    x, y = drawn(50)
    found = []
    for name, at in (("plain", y), ("other", unit * y + place)):
        lines = [",".join(map(repr, [*row, float(v)])) for row, v in zip(x.tolist(), at, strict=True)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["a,b,c,y", *lines, ""]))
        words = Words(target="y")
        done = transfer(
            tmp_path / f"{name}.csv", labelled="10", draws=2, methods="bayes", words=words,
            out=tmp_path / name, minutes=5,
        )  # fmt: skip
        saved = open_model(done.folder / "model")
        cells = [one.cells for one in predict(saved, [tmp_path / f"{name}.csv"])]
        found.append((done.report["rows"], np.array(cells, float)))
    (rows, cells), (others, told) = found
    assert [row["method"] for row in rows] == [row["method"] for row in others]
    for row, other in zip(rows, others, strict=True):
        assert other["score"] / unit**2 == pytest.approx(row["score"], rel=1e-4)
        if row["method"] == "bayes":
            assert other["also"]["coverage"] == row["also"]["coverage"]
            width = other["also"]["interval score"] / unit
            assert width == pytest.approx(row["also"]["interval score"], rel=1e-4)
    np.testing.assert_allclose((told - place) / unit, cells, rtol=1e-4, atol=1e-4)


def test_digits_are_those_of_the_deviation() -> None:
    assert figures(1700000003.254321, 2.0) == "1700000003.2543"
    assert [figures(v, 1.0) for v in (0.123456789, 5.0, 0.0, -2.5e-9)] == ["0.123457", "5", "0", "-2.5e-09"]
    assert [figures(123456.7, 2e5), figures(float("inf"), 1.0)] == ["123457", "inf"]
    said = torch.tensor([[1700000003.25]], dtype=torch.float64)
    assert judge(said, said - 2).predicted == [[1700000003.25]]


def test_a_target_that_does_not_vary_is_one_whatever_rounding_leaves() -> None:
    scale = Scale.of(torch.full((10, 1), 0.3, dtype=torch.float64))
    assert scale.deviation.tolist() == [1.0]
    assert Scale.of(torch.tensor([[1e-25], [3e-25]])).deviation.item() == pytest.approx(1e-25)


def test_a_draw_that_is_harmed_is_one_in_every_unit() -> None:
    row, reference = np.array([[2.0, 3.0], [1.0, 1.0]]), np.array([[1.0, 3.0], [1.0, 1.0]])
    assert [worse(SCORES["MSE"], unit * row, unit * reference) for unit in (1.0, 1e-14)] == [50.0, 50.0]


def test_the_rows_to_look_at_do_not_depend_on_the_unit() -> None:
    spread = torch.tensor([[3.0], [1.0], [2.0]], dtype=torch.float64)
    for unit in (1.0, 1e-25, 1e25):
        order = doubts("real", torch.zeros(3, 1), spread * unit**2).argsort().tolist()
        assert order == [1, 2, 0]


def test_kept_results_are_those_of_the_same_values_alone() -> None:
    plain = np.array([0.1, 0.2, 0.3])
    assert real_targets(plain).digits == torch.from_numpy(plain).float().unsqueeze(1).tolist()
    one, two = (real_targets(1.7e9 + np.array([0.0, 1.0, by])).digits for by in (2.0, 3.0))
    assert one != two
    assert Targets("classes", ("a", "b"), torch.tensor([0, 1])).digits == [0, 1]


def test_a_score_is_of_values_beside_predictions_and_of_nothing_else() -> None:
    x, y = drawn(60)
    found = Regressor(method="bayes").fit(x, y)
    for call in (found.score, found.coverage):
        for wrong, why in ((np.where(y > 0, y, np.nan), "NaN"), (y[:, None], "y is"), (y[:5], "y is")):
            with pytest.raises(MetatlError, match=why):
                call(x, wrong)
    assert found.score(x, np.full(60, 3.0)) == 0.0
    with pytest.raises(MetatlError, match="level is 'a'"):
        found.predict_interval(x, level="a")  # pyright: ignore[reportArgumentType]


def test_classes_are_scored_in_the_kind_that_they_were_given_in() -> None:
    x, y = drawn(60)
    label = (y > 0).astype(int)
    for of in (label, label.astype(object), label.astype(bool).astype(object)):
        found = Classifier(method="bayes").fit(x, of)
        assert found.classes_.dtype.kind in "ib"
        assert found.score(x, of) > 0.8
        assert found.score(x, of[:, None]) == found.score(x, of)
        with pytest.raises(MetatlError, match="give one kind"):
            found.score(x, np.array(["a", "b"])[label])
        with pytest.raises(MetatlError, match=r"y is \[5\]"):
            found.score(x, of[:5])
