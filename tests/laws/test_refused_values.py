"""A value that is none of those offered is refused, whatever stands beside it, before anything is fitted."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import typing
from dataclasses import is_dataclass
from typing import Any, Literal

import pytest
import torch

from metatl.adapt import Estimator
from metatl.guides import TopK
from metatl.learners import SourceFisher
from metatl.types import MetatlError
from tests.toys import toy_data, toy_net

ROOMS = ("adapt", "aggregates", "evaluation", "guides", "heads", "learners", "objectives", "rules")


def offered() -> list[tuple[type, str]]:
    """Public dataclasses that need no argument, with each field whose values are a few words."""
    found: list[tuple[type, str]] = []
    for room in ROOMS:
        package = importlib.import_module(f"metatl.{room}")
        for one in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for made in vars(importlib.import_module(one.name)).values():
                if not inspect.isclass(made) or not is_dataclass(made) or made.__module__ != one.name:
                    continue
                try:
                    made()
                    hints = typing.get_type_hints(made)
                except (TypeError, MetatlError, NameError):
                    continue
                found += [(made, n) for n in made.__dataclass_fields__ if _words(hints.get(n))]
    return sorted(found, key=lambda each: (each[0].__qualname__, each[1]))


def _words(hint: Any) -> bool:
    return typing.get_origin(hint) is Literal and all(isinstance(word, str) for word in typing.get_args(hint))


@pytest.mark.parametrize(("made", "name"), offered(), ids=lambda one: getattr(one, "__name__", one))
def test_a_word_that_is_not_offered_is_refused(made: Any, name: str) -> None:
    with pytest.raises(MetatlError, match="nonesuch"):
        made(**{name: "nonesuch"})


@pytest.mark.parametrize("name", ["on", "moments"])
def test_either_word_of_an_estimator_is_looked_at(name: str) -> None:
    with pytest.raises(MetatlError, match="nonesuch"):
        Estimator(**{name: "nonesuch"})  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("outputs", [3, 7, 9])
def test_source_fisher_needs_an_output_for_each_source_class(outputs: int) -> None:
    """More outputs than classes are as wrong as fewer."""
    learner, data = SourceFisher(2, 10, shape=TopK(0.9), way=3), toy_data(classes=8)
    for count in (8, outputs):
        net = toy_net(outputs=count, dtype=torch.float32)
        if count == 8:
            learner.check(net, net.start(), data)
        else:
            with pytest.raises(
                MetatlError, match=rf"8 source classes, but its output layer has {count} rows"
            ):
                learner.check(net, net.start(), data)
