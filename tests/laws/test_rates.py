"""A negative rate is refused wherever one is given; names and short words of the command."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from metatl import guides, learners, rules
from metatl.rules import RuleState
from metatl.transferring.rows import Row, parsed
from metatl.types import MetatlError, Params
from tests.commands import config_of, metatl, refused, written


@dataclass(frozen=True)
class Own(rules.Rule):
    """Somebody's own rule."""

    lr: float = 0.1

    def init(self, params: Params) -> RuleState:
        return {}

    def update(self, grads: Params, state: RuleState, params: Params) -> tuple[Params, RuleState]:
        return {name: -self.lr * grad for name, grad in grads.items()}, state


RATES: list[tuple[Callable[..., Any], str]] = [
    *[(rule, "lr") for rule in (rules.SGD, rules.Adam, rules.AdamW, rules.CarriedAdam, Own)],
    *[(rule, "weight_decay") for rule in (rules.SGD, rules.Adam, rules.AdamW)],
    (rules.SGD, "momentum"),
    (rules.Adam, "eps_root"),
    (learners.Reptile, "rate"),
    (learners.Episodic, "guide_rate"),
    (learners.Supervised, "moment_rate"),
    (guides.PerStep, "value"),
    (guides.Constant, "value"),
    (guides.DepthDecay, "factor"),
]


@pytest.mark.parametrize(("made", "name"), RATES, ids=lambda part: getattr(part, "__name__", part))
@pytest.mark.parametrize("rate", [-0.1, -1e-300, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(made: Callable[..., Any], name: str, rate: float) -> None:
    with pytest.raises(MetatlError, match=rf": {name} is {rate}; give a finite number, 0 or more"):
        made(**{name: rate})
    assert made(**{name: 1.0})


def test_a_guide_by_name_lets_no_weight_climb() -> None:
    with pytest.raises(MetatlError, match=r"ByName: 'head' has -1.0; give a finite number, 0 or more"):
        guides.ByName((("head", -1.0), ("", 1.0)))


@pytest.mark.parametrize(
    "words",
    [
        ("--adaptation.rule.lr", "-0.1"),
        ("--learner.rule.lr", "-0.1"),
        ("--learner.adaptation.rule.lr", "-0.1"),
        ("--select", "{rule.lr: [0.1, -0.1]}"),
        ("--learner", "{class_path: Reptile, init_args: {rate: -0.1}}"),
        ("--guide", "{class_path: Constant, init_args: {value: -0.1}}"),
    ],
)
def test_a_negative_rate_in_a_config_is_refused_before_any_work(
    words: tuple[str, str], tmp_path: Path
) -> None:
    path = written(tmp_path, config_of("maml"))
    assert "is -0.1; give a finite number, 0 or more" in refused(
        "run", path, "--runs", tmp_path / "r", *words
    )
    assert not (tmp_path / "r").exists()


def test_a_negative_rate_in_a_row_is_refused() -> None:
    rule = {"class_path": "Adam", "init_args": {"lr": -0.1}}
    values = {"about": "a", "adaptation": {"class_path": "Descent", "init_args": {"rule": rule}}}
    with pytest.raises(MetatlError, match=r"lr is -0.1; give a finite number, 0 or more"):
        parsed(values, Row, "a row")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a b", "a-b"),
        ("MAML", "maml"),
        ("né", "nè"),
        ("e\u0301", "\u00e9"),
        ("a/b", "a b"),
        ("ｍaml", "maml"),
    ],
)
def test_two_names_of_one_folder_are_refused_before_any_work(one: str, other: str, tmp_path: Path) -> None:
    paths = [
        written(tmp_path, {**config_of("maml", 2 + i), "name": name}, f"{i}.yaml")
        for i, name in enumerate((one, other))
    ]
    line = refused("benchmark", *paths, "--runs", tmp_path / "runs")
    assert "which look alike or share a folder" in line
    assert not (tmp_path / "runs").exists()


def test_a_run_does_not_take_the_folder_of_another_name(tmp_path: Path) -> None:
    one = written(tmp_path, {**config_of("maml", 2), "name": "a b"}, "a.yaml")
    other = written(tmp_path, {**config_of("maml", 2), "name": "a-b"}, "b.yaml")
    assert metatl("run", one, "--runs", tmp_path / "runs").code == 0
    assert "holds the run of 'a b', and 'a-b' would share its folder" in refused(
        "run", other, "--runs", tmp_path / "runs"
    )
    assert metatl("run", one, "--runs", tmp_path / "runs").code == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [("engine", "Loop"), ("engine", "metatl.engines.loop.Loop"), ("learner.rule", "SGD"),
     ("adaptation.rule", "Adam"), ("data", "Sinusoid")],
)  # fmt: skip
def test_a_class_path_says_what_the_key_says(key: str, value: str, tmp_path: Path) -> None:
    path = written(tmp_path, config_of("maml"))
    shown = metatl("run", path, "--print_config", f"--{key}", value)
    assert shown.code == 0, shown
    for words in ([f"--{key}.class_path", value], [f"--{key}.class_path={value}"]):
        assert metatl("run", path, "--print_config", *words) == shown


def test_a_class_path_takes_options_after_it(tmp_path: Path) -> None:
    path = written(tmp_path, config_of("maml"))
    found = metatl("run", path, "--print_config", "--engine.class_path", "Auto", "--engine.by", "time")
    assert "by: time" in found.out
