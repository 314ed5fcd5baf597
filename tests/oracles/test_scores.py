"""Every score against scikit-learn, or ten lines by hand."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from metatl import MetatlError
from metatl.data.targets import Kind
from metatl.evaluation import scores
from metatl.evaluation.scores import SCORES

metrics = pytest.importorskip("sklearn.metrics")


def drawn(kind: Kind, rows: int = 60, width: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Outputs with ties, and targets of a kind."""
    generator = torch.Generator().manual_seed(seed)
    output = (torch.randn(rows, width, generator=generator, dtype=torch.float64) * 2).round(decimals=1)
    if kind == "classes":
        return output, torch.randint(width, (rows,), generator=generator)
    noise = torch.randn(rows, width, generator=generator, dtype=torch.float64)
    return output, output + noise if kind == "real" else output + 2 * noise > 0


def shares(output: Tensor) -> Any:
    return output.softmax(1).numpy()


def ece(output: Tensor, y: Tensor) -> float:
    """Bin by bin, as it is written."""
    sure, named = output.softmax(1).max(1)
    total = 0.0
    for low in range(15):
        there = (sure > low / 15) & (sure <= (low + 1) / 15)
        if there.any():
            right = (named[there] == y[there]).double().mean()
            total += float(there.double().mean() * (right - sure[there].mean()).abs())
    return total


Oracle = Callable[[Tensor, Tensor], Any]
ORACLES: dict[tuple[str, Kind], Oracle] = {
    ("accuracy", "classes"): lambda o, y: metrics.accuracy_score(y, o.argmax(1)),
    ("balanced accuracy", "classes"): lambda o, y: metrics.balanced_accuracy_score(y, o.argmax(1)),
    ("macro F1", "classes"): lambda o, y: metrics.f1_score(y, o.argmax(1), average="macro"),
    ("macro F1", "labels"): lambda o, y: metrics.f1_score(y, o > 0, average="macro", zero_division=np.nan),
    ("AUROC", "classes"): lambda o, y: metrics.roc_auc_score(y, shares(o), multi_class="ovr"),
    ("AUROC", "labels"): lambda o, y: metrics.roc_auc_score(y, o, average="macro"),
    ("log loss", "classes"): lambda o, y: metrics.log_loss(y, shares(o)),
    ("log loss", "labels"): lambda o, y: np.mean(
        [metrics.log_loss(y[:, k], o[:, k].sigmoid()) for k in range(y.shape[1])]
    ),
    ("calibration error", "classes"): ece,
    ("averaged precision", "labels"): lambda o, y: metrics.label_ranking_average_precision_score(y, o),
    ("macro averaged precision", "labels"): lambda o, y: metrics.average_precision_score(
        y, o, average="macro"
    ),
    ("macro averaged precision", "classes"): lambda o, y: metrics.average_precision_score(
        np.eye(o.shape[1])[y], shares(o), average="macro"
    ),
    ("MSE", "real"): lambda o, y: metrics.mean_squared_error(y, o),
    ("MAE", "real"): lambda o, y: metrics.mean_absolute_error(y, o),
    ("R2", "real"): lambda o, y: metrics.r2_score(y, o),
}


def test_every_score_has_an_oracle_for_every_target_that_it_takes() -> None:
    plain = {name: score for name, score in SCORES.items() if not score.spread}  # tests/laws has the others
    assert {(name, kind) for name, score in plain.items() for kind in score.takes} == set(ORACLES)


@pytest.mark.parametrize(("name", "kind"), ORACLES)
def test_a_score_is_its_oracle(name: str, kind: Kind) -> None:
    for seed in range(3):
        output, y = drawn(kind, seed=seed)
        found = SCORES[name](output, y)
        assert found == pytest.approx(ORACLES[name, kind](output, y), rel=1e-9)


@pytest.mark.parametrize(("name", "kind"), [key for key in ORACLES if SCORES[key[0]].per_row])
def test_a_score_by_row_is_the_score_of_every_row_alone(name: str, kind: Kind) -> None:
    output, y = drawn(kind)
    rows = SCORES[name].rows(output, y)
    alone = [SCORES[name](output[i : i + 1], y[i : i + 1]) for i in range(len(y))]
    assert rows.tolist() == pytest.approx(alone)
    assert SCORES[name](output, y) == pytest.approx(float(rows.mean()))


def test_two_classes_have_the_area_under_one_curve() -> None:
    output, y = drawn("classes", width=2)
    output = output + torch.linspace(0, 1e-3, 60, dtype=output.dtype)[:, None] * torch.tensor([1, -1])
    assert SCORES["AUROC"](output, y) == pytest.approx(metrics.roc_auc_score(y, shares(output)[:, 1]))


def test_a_label_a_pixel_counts_every_pixel() -> None:
    output = torch.randn(5, 3, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = torch.randint(3, (5, 4, 6), generator=torch.Generator().manual_seed(2))
    flat, labels = output.movedim(1, -1).reshape(-1, 3), y.reshape(-1)
    for name, score in SCORES.items():
        if "classes" in score.takes:
            assert score(output, y) == pytest.approx(score(flat, labels)), name
    assert SCORES["accuracy"].rows(output, y).shape == (5,)


@pytest.mark.parametrize("name", [name for name in SCORES if not SCORES[name].spread])
def test_outputs_that_are_not_finite_have_no_score(name: str) -> None:
    output, y = drawn(SCORES[name].takes[0])
    output[7, 1] = math.nan
    assert math.isnan(SCORES[name](output, y))
    if SCORES[name].per_row:
        assert SCORES[name].rows(output, y).isnan().nonzero().tolist() == [[7]]
    assert math.isnan(SCORES[name](output[:0], y[:0]))


def test_what_is_not_there_is_left_out_or_undefined() -> None:
    output, y = drawn("classes")
    there, named = y < 2, output[:, :2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        recall = metrics.balanced_accuracy_score(y[there], output[there].argmax(1))
        f1 = metrics.f1_score(y[there], output[there].argmax(1), average="macro")
    assert SCORES["balanced accuracy"](output[there], y[there]) == pytest.approx(recall)
    assert SCORES["macro F1"](output[there], y[there]) == pytest.approx(f1)
    one = y == 0
    assert math.isnan(SCORES["AUROC"](named[one], y[one]))
    assert not math.isnan(SCORES["AUROC"](output[there], y[there]))
    labels = torch.zeros(60, 4, dtype=torch.bool)
    assert math.isnan(SCORES["AUROC"](output, labels))
    assert math.isnan(SCORES["macro averaged precision"](output, labels))
    assert math.isnan(SCORES["R2"](output, torch.ones(60, 4)))
    varied = torch.cat([output[:, :3] + 1, torch.ones(60, 1)], 1)
    assert SCORES["R2"](output, varied) == pytest.approx(metrics.r2_score(varied[:, :3], output[:, :3]))


def test_defaults_and_names() -> None:
    names = [scores.default(drawn(kind)[1]).name for kind in ("classes", "labels")]
    assert [*names, scores.default(torch.ones(3)).name] == ["accuracy", "averaged precision", "MSE"]
    assert all(name == score.name for name, score in SCORES.items())
    with pytest.raises(MetatlError, match="nearest: accuracy"):
        scores.named("acuracy")
    with pytest.raises(MetatlError, match="nearest: AUROC"):
        scores.named("auroc")
    with pytest.raises(MetatlError, match="no score of real values; there are: MSE, MAE, NLL, "):
        SCORES["AUROC"](*drawn("real"))
    with pytest.raises(MetatlError, match="no value for a single row"):
        SCORES["AUROC"].rows(*drawn("classes"))
