"""The rows of the MAML family's study: comparable within a setting, and trained once where that is said."""

from pathlib import Path

import pytest

from metatl.lab import config
from metatl.lab.experiment import Experiment

GRID = Path(__file__).resolve().parents[2] / "configs" / "omniglot" / "maml-family.yaml"
METHODS = ("maml", "fomaml", "anil", "meta-sgd", "reptile", "protonet", "proto-maml")
SETTINGS = {"5w1s": (5, 1), "5w5s": (5, 5), "20w1s": (20, 1), "20w5s": (20, 5)}


def row(method: str, setting: str) -> Experiment:
    return config.load(GRID / f"{method}_{setting}")


@pytest.mark.parametrize("setting", SETTINGS)
def test_rows_of_a_setting_see_the_same_episodes(setting: str) -> None:
    rows = [row(method, setting) for method in METHODS]
    assert {found.name for found in rows} == set(METHODS)
    assert len({(found.data, found.evaluation) for found in rows}) == 1
    tasks = rows[0].evaluation.tasks
    assert (tasks.way, tasks.shot, tasks.query) == (*SETTINGS[setting], SETTINGS[setting][1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("protonet", "5w1s"), ("protonet", "20w1s")),
        (("protonet", "5w5s"), ("protonet", "20w5s")),
        (("reptile", "5w1s"), ("reptile", "5w5s")),
        (("reptile", "20w1s"), ("reptile", "20w5s")),
    ],
)
def test_one_training_serves_two_rows(one: tuple[str, str], other: tuple[str, str]) -> None:
    described = [config.describe(row(*name)) for name in (one, other)]
    for key in (
        "name",
        "data",
        "model",
        "learner",
        "guide",
        "head",
        "seed",
    ):  # what a run directory is named by
        assert described[0][key] == described[1][key]
