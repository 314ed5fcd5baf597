"""Paired statistics against scipy and against examples worked by hand."""

import json
import math
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import scipy.stats

from metatl.evaluation.compare import (
    differences,
    harmed,
    holm,
    paired,
    plain,
    protocol,
    rows,
    worst_decile,
)
from metatl.types import MetatlError


@dataclass(frozen=True)
class Scores:
    method: str
    scores: np.ndarray
    protocol: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def report(method: str, scores: Any, score: str = "accuracy", **changed: Any) -> Scores:
    scores = np.asarray(scores, dtype=np.float64)
    told = dict(data="glyphs", split="meta_test", way=5, shot=1, query=15, seed=0, episodes=len(scores))
    return Scores(method, scores, {**told, "episodes_hash": "c0ffee", "score": score, **changed})


@pytest.mark.parametrize(("n", "shift"), [(2, 0.1), (10, 0.0), (600, 0.01), (600, -0.2)])
def test_paired_equals_scipy(n, shift):
    rng = np.random.default_rng(n)
    b = rng.uniform(size=n)
    a = b + shift + 0.1 * rng.normal(size=n)
    ours, theirs = paired(a, b), scipy.stats.ttest_rel(a, b)
    assert ours.n == n
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-9, abs=1e-300)
    assert ours.mean == pytest.approx((a - b).mean())
    low, high = theirs.confidence_interval(0.95)
    assert (ours.mean - ours.ci95, ours.mean + ours.ci95) == pytest.approx((low, high))


def test_paired_by_hand():
    got = paired(np.array([3.0, 5.0, 4.0]), np.array([2.0, 3.0, 1.0]))  # differences 1, 2, 3: mean 2, sd 1
    assert (got.mean, got.n) == (2.0, 3)
    # with 2 degrees of freedom the 97.5 % point of t is 0.95 / sqrt(2 * 0.975 * 0.025)
    assert got.ci95 == pytest.approx(0.95 / math.sqrt(0.04875) / math.sqrt(3))
    t = 2 * math.sqrt(3)  # with 2 degrees of freedom the tail is closed: p = 1 - t / sqrt(t^2 + 2)
    assert got.p == pytest.approx(1 - t / math.sqrt(t * t + 2), rel=1e-12)


def test_paired_without_noise():
    same = np.array([0.5, 0.25, 0.75])
    assert paired(same, same) == paired(same, same.copy())
    assert (paired(same, same).mean, paired(same, same).ci95, paired(same, same).p) == (0.0, None, None)
    moved = paired(same + 0.25, same)
    assert (moved.mean, moved.ci95, moved.p) == (0.25, None, None)


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ([0.1, 0.2], [0.1, 0.2, 0.3], "not the same episodes"),
        ([0.1], [0.2], "two episodes or more"),
        ([0.1, float("nan"), 0.2], [0.1, 0.2, 0.3], r"1 of 3 scores are not finite \(first: episode 1\)"),
        ([0.1, 0.2], [0.1, float("inf")], "not finite"),
    ],
)
def test_paired_refuses(a, b, said):
    with pytest.raises(MetatlError, match=said):
        paired(np.array(a), np.array(b))


def test_false_alarms_come_at_the_promised_rate():
    rng = np.random.default_rng(0)
    ps = [paired(rng.normal(size=40), rng.normal(size=40)).p for _ in range(2000)]
    assert 0.035 < np.mean(np.array(ps) < 0.05) < 0.065


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
    assert holm([0.02, 0.02]) == pytest.approx([0.04, 0.04])
    assert holm([0.02, None, 0.4]) == pytest.approx([0.06, None, 0.8])  # asked for, and so counted


def test_holm_keeps_order_and_only_ever_raises():
    ps = np.random.default_rng(1).uniform(size=50) ** 3
    corrected = np.array(holm(list(ps)))
    assert np.all(corrected >= ps)
    assert np.all(corrected <= np.minimum(1, 50 * ps) + 1e-15)  # never above Bonferroni
    assert np.all(np.diff(corrected[np.argsort(ps)]) >= 0)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_holm_refuses_what_is_no_probability(bad):
    with pytest.raises(MetatlError, match="p-values"):
        holm([0.5, bad])


def test_harm_counts_strictly_worse_episodes():
    scores, reference = np.array([0.1, 0.5, 0.5, 0.9]), np.array([0.2, 0.5, 0.4, 0.8])
    assert harmed(scores, reference) == 0.25
    assert harmed(scores, reference, "loss") == 0.5  # for a loss more is worse, and a tie is still no harm


def test_worst_decile():
    scores = np.arange(20) / 20
    assert worst_decile(scores) == pytest.approx((0.0 + 0.05) / 2)
    assert worst_decile(scores, "loss") == pytest.approx((0.95 + 0.9) / 2)
    assert worst_decile(np.array([0.3, 0.2, 0.4])) == pytest.approx(0.2)


def three() -> list[Scores]:
    return [
        report("scratch", [0.2, 0.4, 0.2, 0.4]),
        report("finetune", [0.5, 0.3, 0.5, 0.5]),
        report("maml", [0.9, 0.9, 0.7, 0.7], transductive=True, moments="batch", steps=5),
    ]


def test_rows_by_hand():
    maml = replace(three()[2], facts={"trainable": 7, "ms_per_task": np.float32(2), "selected": {"lr": 0.1}})
    told = rows([*three()[:2], maml], "finetune", "scratch")
    assert [row["method"] for row in told] == ["scratch", "finetune", "maml"]
    scratch, finetune, maml = told
    assert scratch["accuracy"] == pytest.approx(30)
    assert scratch["harmed"] == 0
    assert finetune["harmed"] == 25  # the second episode is below scratch
    assert (finetune["difference"], finetune["difference_ci95"], finetune["p"]) == (0, None, None)
    assert maml["difference"] == pytest.approx(35)  # 40, 60, 20, 20
    t = 3.182446305284263  # the 97.5 % point with 3 degrees of freedom
    assert maml["difference_ci95"] == pytest.approx(t * np.std([40, 60, 20, 20], ddof=1) / 2)
    assert maml["ci95"] == pytest.approx(t * np.std([90, 90, 70, 70], ddof=1) / 2)
    assert maml["episodes"] == 4
    assert maml["worst_decile"] == pytest.approx(70)
    assert (maml["transductive"], scratch["transductive"]) == (True, False)
    assert (maml["moments"], maml["steps"], maml["trainable"], maml["ms_per_task"]) == ("batch", 5, 7, 2.0)
    assert maml["selected"] == {"lr": 0.1}
    raw = [scipy.stats.ttest_rel(three()[i].scores, three()[1].scores).pvalue for i in (0, 2)]
    assert [scratch["p"], maml["p"]] == pytest.approx(holm(raw))  # over two methods, not over three
    json.dumps(told, allow_nan=False)


def test_harm_is_counted_against_what_the_protocol_says():
    assert protocol(three(), "finetune", "scratch")["harmed_against"] == "scratch"
    assert protocol(three(), "finetune", None)["harmed_against"] == "finetune"
    assert [row["harmed"] for row in rows(three(), "finetune")] == [75, 0, 0]


def test_rows_of_losses():
    reports = [report("a", [1.0, 2.0, 3.0], "loss"), report("b", [0.5, 2.0, 4.0], "loss")]
    _, b = rows(reports, "a")
    assert "accuracy" not in b
    assert b["loss"] == pytest.approx(6.5 / 3)  # in its own unit, not in percent
    assert b["difference"] == pytest.approx(0.5 / 3)
    assert b["harmed"] == pytest.approx(100 / 3)
    assert b["worst_decile"] == 4.0


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (dict(episodes_hash="other"), "episodes_hash is other for b and c0ffee for a"),
        (dict(split="meta_val"), "split is meta_val"),
        (dict(shot=5), "shot is 5"),
        (dict(episodes=600), "episodes is 600"),
        (dict(score="loss"), "score is loss"),
    ],
)
def test_other_episodes_are_refused(changed, said):
    reports = [report("a", [0.1, 0.2]), report("b", [0.3, 0.4], **changed)]
    for compared in (lambda: rows(reports, "a"), lambda: differences(reports)):
        with pytest.raises(MetatlError, match=f"not the same episodes: {said}"):
            compared()


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ([], "no reports"),
        ([report("a", [0.1, 0.2]), report("b", [0.1, 0.2, 0.3])], "not the same episodes: scores is 3 for b"),
        ([report("a", [0.1, 0.2]), report("a", [0.3, 0.2])], "two reports are called a"),
        ([report("b", [0.1, 0.2])], "no report of a to compare with; there are: b"),
        ([report("a", [0.1, 0.2]), report("b", [0.3, float("nan")])], "b: 1 of 2 scores are not finite"),
        ([report("a", [10.0, 20.0])], r"a: accuracy must lie in \[0, 1\]"),
    ],
)
def test_rows_refuse(reports, said):
    with pytest.raises(MetatlError, match=said):
        rows(reports, "a")


def test_differences_against_the_first():
    assert differences(three()) == rows(three(), "scratch")
    twins = differences([report("a", [0.1, 0.2]), report("a", [0.3, 0.5])])  # two seeds of one method
    assert [row["difference"] for row in twins] == pytest.approx([0, 25])
    assert [row["p"] for row in twins] == [None, paired(np.array([0.3, 0.5]), np.array([0.1, 0.2])).p]


def test_diverged_episodes_are_counted_in_the_row():
    lost = replace(report("a", [0.0, 0.5, 0.0]), facts={"diverged": [0, 2]})
    assert [row["diverged"] for row in rows([lost, report("b", [0.3, 0.5, 0.6])], "a")] == [2, None]


def test_what_goes_into_json():
    import pathlib

    import torch

    told = {
        "a": np.float64(1.5),
        "b": torch.tensor(2),
        3: (float("nan"), None),
        "p": pathlib.PurePosixPath("x/y"),
    }
    assert plain(told) == {"a": 1.5, "b": 2, "3": [None, None], "p": "x/y"}
    assert plain({"yes": True, "many": np.arange(3)}) == {"yes": True, "many": [0, 1, 2]}
