"""Numbers of the studies of calibration and of label shift against formulas by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metatl.evaluation.scores import SCORES

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture(autouse=True)
def _helpers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(SCRIPTS))
    monkeypatch.setenv("METATL_DATA", "nowhere")


def answers(temperature: float, episodes: int = 6) -> Any:
    from calibration_numbers import Answers

    draw = np.random.default_rng(0)
    outputs = 2 * draw.normal(size=(episodes, 8, 3))
    y = draw.integers(0, 3, (episodes, 8))
    return outputs, y, Answers(outputs, y, np.arange(episodes) // 2, temperature)


def test_log_loss_and_calibration_error_are_the_scores() -> None:
    from calibration_numbers import by_unit, ece, joined, numbers

    outputs, y, own = answers(1.7)
    flat, labels = torch.from_numpy(outputs.reshape(-1, 3)), torch.from_numpy(y.reshape(-1))
    found = numbers([joined([own])])
    for name, scale in (("", 1.0), ("_tempered", 1.7)):
        assert found[f"nll{name}"] == pytest.approx(SCORES["log loss"](flat / scale, labels))
        assert found[f"ece{name}"] == pytest.approx(100 * SCORES["calibration error"](flat / scale, labels))
    assert found["accuracy"] == pytest.approx(100 * SCORES["accuracy"](flat, labels))
    assert found["units"] == 3
    rows = own.rows(tempered=False)
    assert by_unit(rows.loss, rows.unit)[0] == pytest.approx(SCORES["log loss"](flat[:16], labels[:16]))
    twice = ece(rows, np.array([2.0, 0.0, 1.0]))
    at = np.concatenate([np.arange(16), np.arange(16), np.arange(32, 48)])
    assert twice == pytest.approx(SCORES["calibration error"](flat[at], labels[at]))


def test_error_of_what_is_answered_by_brute_force() -> None:
    from calibration_numbers import LEFT, risk

    outputs, y, own = answers(1.0)
    found, rows = risk(own.rows(tempered=True)), own.rows(tempered=True)
    order = np.argsort(-rows.sure)
    for left, error in zip(LEFT, found, strict=True):
        kept = order[: max(1, int(np.ceil((1 - left) * len(order) - 1e-9)))]
        assert error == pytest.approx(1 - rows.right[kept].mean())
    assert found[0] == pytest.approx((outputs.argmax(-1) != y).mean())
    sharp = type(own)(np.where(np.eye(3)[y] > 0, outputs + 20, outputs), y, own.unit, 1.0)
    assert risk(sharp.rows(tempered=True)).max() == 0


def test_an_episode_that_diverged_answers_every_class_alike() -> None:
    outputs, y, own = answers(1.0)
    outputs = outputs.copy()
    outputs[2, 3, 1] = np.nan
    broken = type(own)(outputs, y, own.unit, 1.0).rows(tempered=False)
    assert np.allclose(broken.loss[16:24], np.log(3))
    assert np.allclose(broken.sure[16:24], 1 / 3)
    assert np.allclose(broken.loss[:16], own.rows(tempered=False).loss[:16])


def test_nets_are_averaged_as_probabilities() -> None:
    from calibration import Cell, averaged

    cells = []
    for seed in range(3):
        outputs = np.random.default_rng(seed).normal(size=(6, 8, 3))
        own = type(answers(1.0)[2])(outputs, answers(1.0)[1], np.arange(6), 1.0)
        own = type(own)(outputs - np.logaddexp.reduce(outputs, -1, keepdims=True), own.y, own.unit, 1.0)
        cells.append(Cell((torch.from_numpy(own.log_p[0]), torch.from_numpy(own.y[0])), own, {}))
    found = averaged(cells)
    wanted = np.mean([np.exp(one.answers.log_p) for one in cells], 0)
    assert np.allclose(np.exp(found.answers.log_p), wanted)
    assert np.allclose(found.val[0].exp().numpy(), wanted[0])


@pytest.mark.parametrize("strength", [0.0, 0.5, 1.0])
def test_weights_of_test_images_make_the_target_s_shares(strength: float) -> None:
    """The accuracy is sum_y P(y) times that of digit y; what is absent has no say."""
    import negative_table
    from negative_domains import priors

    draw = np.random.default_rng(0)
    y = np.concatenate([np.arange(10).repeat(4), draw.integers(0, 10, 60)])
    right = {
        row: {strength: [draw.integers(0, 2, len(y)).astype(float) for _ in range(2)]}
        for row in ("source only", "refitted", "CORAL", "DANN")
    }
    shares = priors(strength)
    assert shares.sum() == pytest.approx(1)
    found = negative_table._rows(right, strength, shares, y)
    by_hand = {
        row: np.mean([sum(shares[c] * one[y == c].mean() for c in range(10)) for one in of[strength]])
        for row, of in right.items()
    }
    for row, value in by_hand.items():
        assert found[row]["accuracy"] == pytest.approx(100 * value)
    assert found["CORAL"]["gain"] == pytest.approx(100 * (by_hand["CORAL"] - by_hand["refitted"]))
    assert found["DANN"]["gain"] == pytest.approx(100 * (by_hand["DANN"] - by_hand["source only"]))


def test_people_who_judge_are_in_no_source() -> None:
    from sensors_people import PEOPLE, TUNED_ON, folds

    assert not {*PEOPLE} & {*TUNED_ON}
    assert sorted(person for fold in folds() for person in fold) == [*PEOPLE]
    assert {*PEOPLE} | {*TUNED_ON} == {*range(1, 31)}
