"""Fields are looked at where a value is made: words, numbers, members of families."""

import dataclasses
import inspect
import runpy
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from metatl.adapt import ClosedForm, Descent
from metatl.fields import Checked, check_fields
from metatl.lab.families import FAMILIES, members
from metatl.objectives import TaskLoss
from metatl.rules import SGD, Adam
from metatl.transforms import LoRA, Quantised
from metatl.types import MetatlError


def _words() -> list[tuple[type, str]]:
    """Members of families that can be made without arguments, with their fields that offer words."""
    found = list[tuple[type, str]]()
    for kind in (one for family in FAMILIES for one in members(family).values()):
        if not inspect.isclass(kind) or not dataclasses.is_dataclass(kind) or inspect.isabstract(kind):
            continue
        fields = [one for one in dataclasses.fields(kind) if one.init]
        if any(one.default is one.default_factory is dataclasses.MISSING for one in fields):
            continue
        try:
            hints = typing.get_type_hints(kind)
        except NameError:
            continue
        for one in fields:
            kinds = {hints[one.name], *typing.get_args(hints[one.name])}
            if str not in kinds and any(typing.get_origin(kind) is Literal for kind in kinds):
                found.append((kind, one.name))
    return found


WORDS = _words()


@pytest.mark.parametrize(("kind", "name"), WORDS, ids=lambda one: getattr(one, "__name__", one))
def test_a_word_that_is_not_offered_is_refused_by_every_member(kind: Any, name: str) -> None:
    with pytest.raises(MetatlError):
        kind(**{name: "nonsense"})


def test_many_members_offer_words() -> None:
    assert len(WORDS) > 30


@dataclass(frozen=True)
class _Own(Checked):
    word: Literal["one", "two"] = "one"
    count: int = 1
    rate: float | None = 0.1
    rule: SGD | Literal["none"] = "none"
    several: tuple[int, ...] = ()
    anything: Any = None


@dataclass(frozen=True)
class _Later(_Own):
    def __post_init__(self) -> None:
        """Compare a number, which a word would break."""
        if self.count < 1:
            raise MetatlError("count")


@pytest.mark.parametrize("kind", [_Own, _Later])
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"word": "twoo"}, "word is 'twoo'; give one or two"),
        ({"count": "3"}, "count is '3'; give a whole number"),
        ({"count": 1.5}, "count is 1.5; give a whole number"),
        ({"count": True}, "count is True; give a whole number"),
        ({"rate": "x"}, "rate is 'x'; give a number or null"),
        ({"rule": Adam()}, "rule is "),
        ({"several": 3}, "several is 3; give a tuple"),
    ],
)
def test_what_a_field_does_not_take_is_one_line(kind: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(MetatlError) as refused:
        kind(**given)
    assert said in str(refused.value)
    assert str(refused.value).startswith(kind.__name__)


@pytest.mark.parametrize("kind", [_Own, _Later])
def test_what_a_field_takes_passes(kind: Any) -> None:
    import numpy as np

    made = kind("two", np.int64(3), 2, SGD(), [1, 2], object())
    check_fields(made)
    assert kind(rate=None).rate is None
    with pytest.raises(MetatlError):
        dataclasses.replace(made, word="three")


def test_what_cannot_be_read_of_a_type_takes_anything(tmp_path: Path) -> None:
    """A class of a file that is run, not imported; an annotation that means nothing where it stands."""
    text = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\n"
        "from metatl.objectives import Term\n\n"
        "@dataclass(frozen=True)\nclass Mine(Term):\n    rate: float = 1.0\n    odd: nowhere.Thing = 'x'\n"
    )
    (tmp_path / "mine.py").write_text(text)
    made = runpy.run_path(str(tmp_path / "mine.py"), run_name="a_module_that_nobody_imports")["Mine"]
    assert made(odd=3).odd == 3
    with pytest.raises(MetatlError, match="rate is 'x'; give a number"):
        made(rate="x")


def test_pieces_of_another_kind_are_one_line() -> None:
    for made in (
        lambda: Descent(rule="Adam"),  # type: ignore[arg-type]
        lambda: Descent(SGD(), terms=TaskLoss()),  # type: ignore[arg-type]
        lambda: Descent(SGD(), steps=1.5),  # type: ignore[arg-type]
        lambda: ClosedForm("ridge"),  # type: ignore[arg-type]
        lambda: LoRA(r="x"),  # type: ignore[arg-type]
        lambda: LoRA(scaling="Standard"),  # type: ignore[arg-type]
        lambda: LoRA(alpha=float("nan")),
        lambda: Quantised("NF4"),  # type: ignore[arg-type]
    ):
        with pytest.raises(MetatlError):
            made()
