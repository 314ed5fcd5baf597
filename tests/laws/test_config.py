"""Configs: what a file says is what is built; what is wrong with one is said in one line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import nn

from metatl import models
from metatl.guides import ByName, Unfreeze
from metatl.heads import Prototypes, Zeros
from metatl.lab import config, grids
from metatl.lab.experiment import Experiment, candidates, with_value
from metatl.lab.run import prepare
from metatl.learners import Episodic, Scout
from metatl.objectives import L2SP, KLAnchor, TaskLoss
from metatl.rules import SGD, Adam, AdamW
from metatl.types import MetatlError
from tests.outer import Outer, outer_gradient

ROOT = Path(__file__).resolve().parents[2]
SMALL = """
name: small
data:
  class_path: Glyphs
  init_args: {train_classes: 6, val_classes: 5, test_classes: 5, examples: 6, size: 16}
model: {class_path: Conv4, init_args: {filters: 2}}
adaptation: {head: {class_path: Zeros}}
evaluation: {tasks: {way: 3, shot: 1, query: 2}, episodes: 3, select_episodes: 2}
"""


def write(folder: Path, text: str, name: str = "a.yaml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def refused(path: Path, *overrides: str) -> str:
    with pytest.raises(MetatlError) as error:
        prepare(config.load(path, list(overrides)), list(overrides))
    said = str(error.value)
    assert "\n" not in said
    assert len(said) < 600
    return said


class MLP(nn.Module):
    """A class of another library with a name of ours."""


def test_a_short_name_is_ours_whatever_else_was_imported(tmp_path: Path) -> None:
    values = SMALL.replace("{class_path: Conv4, init_args: {filters: 2}}", "MLP")
    made: Any = config.load(write(tmp_path, values.replace("name: small", "name: MLP")))
    assert (made.name, type(made.model((2,), 3))) == ("MLP", models.MLP)
    assert MLP in nn.Module.__subclasses__()


def test_values_arrive_where_they_belong(tmp_path: Path) -> None:
    made = config.load(
        write(
            tmp_path,
            SMALL
            + """
learner:
  class_path: Episodic
  init_args:
    steps: 7
    rule: {class_path: SGD, init_args: {lr: 1, momentum: 0.9}}
    guide: {class_path: ByName, init_args: {rules: [["^head", 1], ["", 0.5]]}}
    adaptation: {steps: 2, head: {class_path: Prototypes, init_args: {temperature: 3}}}
guide: {class_path: Unfreeze, init_args: {every: 2}}
select: {rule.lr: [0.1, 0.3], steps: [1, 2]}
""",
        ),
        ["--seed", "5", "--learner.meta_batch=3", "--adaptation.terms", "[TaskLoss, KLAnchor]"],
    )
    learner = made.learner
    assert isinstance(learner, Episodic)
    assert (learner.steps, learner.meta_batch, learner.rule) == (7, 3, SGD(1.0, 0.9))
    assert learner.guide == ByName((("^head", 1.0), ("", 0.5)))
    assert learner.adaptation.head == Prototypes(3.0)
    assert learner.adaptation.steps == 2
    assert made.adaptation.head == Zeros()
    assert made.adaptation.terms == (TaskLoss(), KLAnchor())
    assert (made.seed, made.guide) == (5, Unfreeze(2))
    assert [(a.rule, a.steps) for _, a in candidates(made)] == [
        (SGD(lr), steps) for lr in (0.1, 0.3) for steps in (1, 2)
    ]


CONFIGS = [
    path
    for grid in ("demo.yaml", "omniglot/quick.yaml")
    for path in [*grids.configs(ROOT / "configs" / grid), ROOT / "configs" / grid / "scouts"]
]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: f"{path.parent.stem}-{path.name}")
def test_what_is_dumped_is_read_back_the_same(path: Path, tmp_path: Path) -> None:
    values = config.read(path)
    made = config.parse(values, (), str(path))
    text = config.dump(made)
    again = config.parse(config.read(write(tmp_path, text)), (), "dumped")
    first, second = config.describe(made), config.describe(again)
    first.pop("start"), second.pop("start")  # a path relative to the file
    assert config.digest(first) == config.digest(second)
    assert config.dump(made) == text


def test_a_class_that_is_named_starts_from_its_own_defaults() -> None:
    """Not from the arguments of the class that it replaces, in a file or on the command line."""
    values = yaml.safe_load(SMALL) | {
        "learner": {"class_path": "Episodic", "init_args": {"rule": "SGD", "meta_batch": 2}},
    }
    values["adaptation"] = {"rule": {"class_path": "AdamW"}}
    made = config.parse(values)
    assert made.adaptation.rule == AdamW()
    assert made.learner == Episodic(rule=SGD(), meta_batch=2)
    assert config.parse(values, ["--adaptation.rule", "Adam"]).adaptation.rule == Adam()
    assert config.parse(values, ["--adaptation.rule=metatl.rules.Adam"]).adaptation.rule == Adam()
    words = ["--adaptation.rule", "{class_path: Adam, init_args: {b1: 0.5}}", "--adaptation.rule.lr", "0.2"]
    assert config.parse(values, words).adaptation.rule == Adam(0.2, 0.5)
    assert config.parse(values, ["--learner", "Scout"]).learner == Scout()
    assert config.parse(values, ["--name", "SGD"]).name == "SGD"
    same = {"class_path": "Scout", "init_args": {"adaptation": {"steps": 3}}}
    scout = config.parse(values | {"learner": same}).learner
    assert scout == Scout(adaptation=replace(Scout().adaptation, steps=3))


def test_dump_and_digest_notice_every_value() -> None:
    one = config.parse(yaml.safe_load(SMALL))
    seen = {config.digest(config.describe(one))}
    for path, new in [
        ("seed", 1),
        ("adaptation.rule.lr", 0.2),
        ("adaptation.terms.0.weight", 2.0),
        ("evaluation.tasks.way", 2),
        ("data.jitter", 0.5),
        ("learner", Scout()),
        ("adaptation.rule", Adam()),
        ("adaptation.terms", (TaskLoss(), L2SP())),
    ]:
        seen.add(config.digest(config.describe(with_value(one, path, new))))
    assert len(seen) == 9
    other = config.parse(yaml.safe_load(SMALL), ["--model.init_args.filters", "3"])
    assert config.digest(config.describe(other)) not in seen


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["--seeds", "1"], "seeds"),
        (["--learner.step", "1"], "step"),
        (["--seed", "one"], "seed"),
        (["--evaluation.episodes", "1"], "at least 2"),
        (["--evaluation.tasks.way", "2.5"], "way"),
        (["--learner", "Episodical"], "Episodical"),
        (["--adaptation.head", "metatl.rules.SGD"], "SGD"),
        (["--adaptation.moments", "rows"], "moments"),
        (["--adaptation.guide_from_support", "{class_path: SupportFisher, init_args: {kind: best}}"], "kind"),
        (["--device", "warp"], "warp"),
        (["--evaluation.tasks.way", "6"], "way is 6"),
        (["--evaluation.tasks.query", "9"], "shot + query"),
        (["--select", "{rule.rate: [1]}"], "rate"),
        (["--select", "{rule.lr: []}"], "rule.lr"),
        (["--select", "{rule.lr: [fast]}"], "fast"),
        (["--select", "{steps: [2.5]}"], "2.5"),
        (["--adaptation.head", "Learned"], "carries 6 outputs"),
        (["--head", "blocks"], "linear output layer"),
        (["--data.init_args.size", "3"], "size"),
        (["--adaptation.terms", "[{class_path: KLAnchor, init_args: {alpha: 2}}]"], "alpha"),
        (["--guide", "{class_path: ByName, init_args: {rules: [['(', 1]]}}"], "regular expression"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(overrides: list[str], said: str, tmp_path: Path, cache_home: Path) -> None:
    path = write(tmp_path, SMALL)
    prepare(config.load(path))
    assert said in refused(path, *overrides)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: [", "not valid YAML"),
        ("- 1\n- 2", "mapping"),
        ("", "data"),
        (SMALL + "\nbase: nowhere.yaml", "nowhere.yaml is not there"),
        (SMALL + "\nstart: nowhere.yaml", "nowhere.yaml is not there"),
        (SMALL + "\ncolour: red", "colour"),
        (SMALL.replace("Glyphs", "Glyph"), "Glyph"),
        (SMALL.replace("filters: 2", "filter: 2"), "filter"),
        (SMALL.replace("episodes: 3", "episodes: many"), "episodes"),
    ],
)
def test_a_broken_file_is_one_line(text: str, said: str, tmp_path: Path, cache_home: Path) -> None:
    assert said in refused(write(tmp_path, text))


def test_a_missing_or_binary_file_is_one_line(tmp_path: Path) -> None:
    assert "is not there" in refused(tmp_path / "none.yaml")
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    assert "cannot be read" in refused(tmp_path / "b.yaml")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("filters: 2", "filters: 3"), "weight"),
        (("class_path: Conv4, init_args: {filters: 2}", "class_path: MLP"), "no weight"),
    ],
)
def test_a_start_that_does_not_fit_is_one_line(
    change: tuple[str, str], said: str, tmp_path: Path, cache_home: Path
) -> None:
    write(tmp_path, SMALL, "start.yaml")
    assert said in refused(write(tmp_path, SMALL.replace(*change) + "\nstart: start.yaml"))
    prepare(config.load(write(tmp_path, SMALL + "\nstart: start.yaml")))


def test_bases_merge_key_by_key_and_classes_replace_whole(tmp_path: Path) -> None:
    write(tmp_path, SMALL + "\nlearner: {class_path: Scout, init_args: {steps: 3}}", "base.yaml")
    path = write(
        tmp_path, "base: base.yaml\nlearner: {class_path: Episodic, init_args: {meta_batch: 2}}\nseed: 4"
    )
    made: Experiment = config.load(path)
    found: Any = made.learner
    assert type(found) is Episodic
    assert (found.steps, found.meta_batch, made.seed, made.name) == (1000, 2, 4, "small")
    path = write(tmp_path, "base: base.yaml\nlearner: {init_args: {scouts: 2}}")
    found = config.load(path).learner
    assert (type(found), found.steps, found.scouts) == (Scout, 3, 2)


def test_an_engine_that_was_used_is_still_a_default(tmp_path: Path) -> None:
    """What engines keep from one step to the next is no option of theirs."""
    from metatl.adapt import Descent
    from tests.toys import toy_net, toy_tasks

    path, net = write(tmp_path, SMALL), toy_net()
    engine = config.load(path).engine
    for default in (engine, type(Experiment.__dataclass_fields__["engine"].default)(), Experiment.engine):
        outer_gradient(default, net, net.start(), Descent(SGD(0.1), 1), toy_tasks(20), Outer(calls=1000))
    assert config.load(path).engine == engine
