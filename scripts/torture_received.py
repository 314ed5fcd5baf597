"""Rows of `torture.py` on what is received: code in it, bytes that stand for many, names that say more."""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path
from typing import Any

from torture_row import Row, each

from metatl import text
from metatl.lab import render
from metatl.lab.yaml_values import yaml_values
from metatl.types import MetatlError
from tests.commands import WAVES, metatl, written
from tests.trust import test_bounds, test_code, test_text


def code(folder: Path, number: int) -> None:
    """A payload somewhere in a config, read as the user's own and as a run directory that was received."""
    draw = random.Random(number)
    (folder / "their_code.py").write_text(test_code.SOURCE)
    (folder / "precious").mkdir()
    standard = {
        "class_path": f"{draw.choice(sorted(sys.stdlib_module_names))}.{draw.choice(['Popen', 'run'])}"
    }
    payload: Any = draw.choice([*test_code.PAYLOADS.values(), standard])
    place = draw.choice(list(test_code.places(payload)))
    before = set(sys.modules)
    with contextlib.chdir(folder):
        path = written(folder, {"name": "a", **WAVES, **test_code.places(payload)[place]})
        theirs = {"name": "a", **WAVES, **test_code.places(test_code.THEIRS)[place]}
        written(folder / "received", theirs, "config.yaml")
        for words in (["run", path, "--print_config"], ["evaluate", folder / "received"]):
            said = metatl(*words)
            assert said.code in (0, 2), said
            assert len(said.lines) <= 1, said
            assert test_code.untouched(folder), (place, payload)
    root = payload["class_path"].partition(".")[0]
    assert root in before or root not in sys.modules, (place, payload)
    assert "their_code" not in sys.modules, place


def bytes_for_many(folder: Path, number: int) -> None:
    """YAML made of a few pieces over and over: read, or refused in one line, soon."""
    draw = random.Random(number)
    pieces = [
        "[",
        "]",
        "{",
        "}",
        "a: ",
        "&a ",
        "*a",
        "<<: ",
        "- ",
        "? ",
        ", ",
        "\n",
        "1:1",
        "9" * 50,
        "|\n",
        "'",
        '"',
    ]
    some = draw.choices(pieces, k=draw.randint(1, 5))
    whole = "".join(some) * draw.choice([10, 1_000, 100_000])
    with test_bounds.little(seconds=10, mib=256), contextlib.suppress(MetatlError):
        yaml_values(whole[:900_000], "a.yaml")


def names(folder: Path, number: int) -> None:
    """Any characters at all as the name of a method and of its data."""
    draw = random.Random(number)
    name = "".join(chr(draw.choice([draw.randrange(0xA0), draw.randrange(0x110000)])) for _ in range(30))
    row: dict[str, Any] = {
        "method": name, "family": name, "accuracy": 1.0, "ci95": 1.0, "transductive": True, "p": 1.0,
        "difference": 0.0, "difference_ci95": 1.0, "harmed": 0.0, "worst_decile": 1.0,
        "selected": {name: name},
    }  # fmt: skip
    protocol = {"data": name, "reference": name, "unit": name}
    assert test_text.in_markdown(text.markdown(name))
    assert test_text.harmless(render.markdown([row], protocol))
    assert test_text.harmless(render.console([row], protocol))
    assert "<" not in text.html(name)


ROWS = (
    Row("received: code", 1_000, each(code)),
    Row("received: a few bytes for many", 2_000, each(bytes_for_many)),
    Row("received: names", 5_000, each(names)),
)
