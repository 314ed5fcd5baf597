"""A misspelt key or class of a config is one line that names its whole key and the nearest right name."""

from __future__ import annotations

from typing import Any

import pytest

from metatl.lab import config
from metatl.lab.describe import describe, merged
from metatl.lab.experiment import candidates
from metatl.types import MetatlError
from tests.commands import GLYPHS, INNER

VALUES: dict[str, Any] = merged(
    {"name": "x", "learner": {"class_path": "Episodic", "init_args": {"steps": 3, "adaptation": INNER}}},
    GLYPHS,
)


def args(path: str, value: Any) -> dict[str, Any]:
    """A mapping in which a value stands at a dotted path."""
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


def said(values: dict[str, Any], *overrides: str) -> str:
    with pytest.raises(MetatlError) as caught:
        candidates(config.parse(merged(VALUES, values), list(overrides)))
    line = str(caught.value)
    assert len(line) < 300, line
    assert not set("{}") & set(line), line
    assert "Namespace" not in line
    return line


@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        ("learnr.steps", 3, "a config has no key 'learnr'; nearest: learner"),
        ("data", "Glyph", "data: there is no Source 'Glyph'; nearest: Glyphs"),
        ("data.init_args.train_class", 3, "data: Glyphs has no key 'train_class'; nearest: train_classes"),
        ("data", {"class_path": "Sinusoid", "seed": 3}, "data: 'seed' stands beside class_path"),
        ("model", "Conv5", "model: there is no Module 'Conv5'; nearest: Conv4"),
        ("model.init_args.filter", 3, "model: Conv4 has no key 'filter'; nearest: filters"),
        ("model", "torch.nn.Lienar", "nearest: Linear"),
        ("model", "no_such_module.Net", "model: no_such_module.Net cannot be imported"),
        ("learner", {"class_path": "Episodics"}, "there is no Learner 'Episodics'; nearest: Episodic"),
        ("learner.stesp", 3, "learner: Episodic has no key 'stesp'; nearest: steps"),
        ("learner.adaptation.stesp", 3, "learner.adaptation: Descent has no key 'stesp'; nearest: steps"),
        ("learner.adaptation.rule", "Adm", "learner.adaptation.rule: there is no Rule 'Adm'; nearest: Adam"),
        ("learner.rule", {"class_path": "Adam", "init_args": {"rate": 1}}, "learner.rule: Adam has no key"),
        ("learner.tasks.ways", 3, "learner.tasks: Tasks has no key 'ways'; nearest: way"),
        ("learner.aggregate", "PCgrad", "nearest: PCGrad"),
        ("learner.schedule", "Cosine", "learner.schedule: there is no Schedule 'Cosine'; nearest: cosine"),
        ("learner.objective", [{"class_path": "KLAnchr"}], "learner.objective.0: there is no Term 'KLAnchr'"),
        (
            "learner",
            {"class_path": "Until", "init_args": {"learner": "Episodc"}},
            "learner.learner: there is",
        ),
        ("learner", {"class_path": "Scout", "init_args": {"shape": "TopKK"}}, "nearest: TopK"),
        (
            "learner",
            {"class_path": "Supervised", "init_args": {"views": ["Flipp"]}},
            "learner.views.0: there",
        ),
        (
            "learner",
            {"class_path": "Supervised", "init_args": {"streams": {"a": {"class_path": "Unlabeled"}}}},
            "learner.streams.a: there is no Stream 'Unlabeled'; nearest: Unlabelled",
        ),
        ("adaptation.head", "Zero", "adaptation.head: there is no Head 'Zero'; nearest: Zeros"),
        ("adaptation.head.foo", 1, "adaptation.head: Zeros has no key 'foo'"),
        (
            "adaptation",
            {"class_path": "ClosedForm", "init_args": {"solver": {"class_path": "Rigde"}}},
            "adaptation.solver: there is no Solver 'Rigde'; nearest: RidgeRegression",
        ),
        ("adaptation.guide_from_support", {"class_path": "SupportFishr"}, "nearest: SupportFisher"),
        ("evaluation.episods", 3, "evaluation: Evaluation has no key 'episods'; nearest: episodes"),
        ("evaluation.tasks.wya", 3, "evaluation.tasks: Tasks has no key 'wya'; nearest: way"),
        ("guide", {"class_path": "DepthDecy"}, "guide: there is no TransferGuide 'DepthDecy'"),
        ("transforms", [{"class_path": "LORA"}], "transforms.0: there is no Transform 'LORA'; nearest: LoRA"),
        ("engine", "Batchd", "engine: there is no Engine 'Batchd'; nearest: Batched"),
        ("learner.steps", "many", "learner.steps: Expected a int"),
        ("name", {"class_path": "Zeros"}, "name: Expected a str"),
        ("select", {"rule.rl": [1]}, "select: SGD has no field 'rl'; nearest: lr"),
        ("select", {"stesp": [1]}, "select: Descent has no field 'stesp'; nearest: steps"),
        (
            "select",
            {"rule": [{"class_path": "Adm"}]},
            "select.rule.0: there is no class 'Adm'; nearest: Adam",
        ),
        (
            "select",
            {"rule.lr": [{"class_path": "Zeros"}]},
            "select: 'lr' takes float values; Zeros() is none",
        ),
    ],
)
def test_a_misspelt_name(path: str, value: Any, wanted: str) -> None:
    values = args(path, value)
    assert wanted in said(values)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("--learner.stesp 3", "learner: Episodic has no key 'stesp'; nearest: steps"),
        ("--learner.init_args.stesp=3", "learner: Episodic has no key 'stesp'; nearest: steps"),
        ("--learner Episodik", "learner: there is no Learner 'Episodik'; nearest: Episodic"),
        ("--adaptation.rule.rl 1", "adaptation.rule: SGD has no key 'rl'; nearest: lr"),
        ("--learnr.steps 3", "a config has no key 'learnr'; nearest: learner"),
        ("--transforms [LORA]", "transforms.0: there is no Transform 'LORA'; nearest: LoRA"),
        ("--evaluation.tasks.wya 3", "evaluation.tasks: Tasks has no key 'wya'; nearest: way"),
    ],
)
def test_a_misspelt_override(words: str, wanted: str) -> None:
    assert wanted in said({}, *words.split())


def test_a_class_where_a_value_stands_is_told_with_its_key() -> None:
    experiment = config.parse(merged(VALUES, {"select": {"rule.lr": [{"class_path": "Factory"}]}}))
    with pytest.raises(MetatlError, match=r"init_args\.select|select\.rule\.lr\.0: Factory stands where"):
        describe(experiment)


def test_what_is_right_is_let_through() -> None:
    config.parse(
        VALUES, ["--learner.rule", "Adam", "--learner.rule.lr", "0.1", "--guide", "null", "--seed=3"]
    )
