"""`make house`: right figures of three files, and no two public classes of one name."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOUSE: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "house.py"))
ONE = '''"""A file."""


class Net:
    """Rows x [n, d] to outputs [n, k]."""

    def _hidden(self): ...

    def shown(self, x: Tensor) -> Tensor:
        """Outputs, one a row."""


class _Rows: ...
'''
TWO = '''"""Another."""


def mean(x: Tensor) -> Tensor:
    """Mean of x [tasks, n, ...], 0-d."""


class Net: ...


class _Rows: ...
'''
README = "# a\n\none\n## b\n```\n# no heading\n```\nx\n"


@pytest.fixture
def house(tmp_path: Path) -> Path:
    for name, text in (("net.py", ONE), ("data/a.py", TWO), ("data/b.py", "x = 1\n")):
        path = tmp_path / "metatl" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "README.md").write_text(README, encoding="utf-8")
    return tmp_path


def test_the_figures_of_a_small_house(house: Path) -> None:
    one, two = (len(text.splitlines()) for text in (ONE, TWO))
    assert HOUSE["rooms"](house / "metatl") == {"net": (1, one), "data/": (2, two + 1)}
    assert HOUSE["longest_file"](house / "metatl") == ("metatl/net.py", one)
    assert HOUSE["sections"](README) == {"a": 3, "b": 5}
    trees = HOUSE["trees_of"](house / "metatl")
    assert HOUSE["shapes"](trees) == {"public docstrings": (2, 3), "those of functions of tensors": (1, 2)}
    assert HOUSE["shared_names"](trees, public=True) == {"Net": ["data/a.py", "net.py"]}
    assert HOUSE["shared_names"](trees, public=False) == {"_Rows": ["data/a.py", "net.py"]}
    said = "\n".join(HOUSE["report"](house))
    assert f"longest file: metatl/net.py, {one} lines" in said
    assert "public class names in more than one file: 1\n  Net: data/a.py, net.py" in said


@pytest.mark.parametrize(
    ("text", "is_shape"),
    [("x [n, d]", True), ("[..., d]", True), ("[n - 1]", True), ("[0, 1]", False), ("0-d", True),
     ("x[0:3]", False), ("[0.1, 0.2]", False), ("a list", False)],
)  # fmt: skip
def test_what_is_read_as_a_shape(text: str, is_shape: bool) -> None:
    assert bool(HOUSE["SHAPE"].search(text)) == is_shape


def test_no_two_public_classes_have_one_name() -> None:
    assert HOUSE["shared_names"](HOUSE["trees_of"](ROOT / "metatl"), public=True) == {}


def test_a_nested_class_shares_no_name() -> None:
    tree = ast.parse("class A:\n    class Net: ...\n")
    assert HOUSE["shared_names"]({"a.py": tree, "b.py": ast.parse("class Net: ...")}, public=True) == {}


def test_every_room_is_counted() -> None:
    found = HOUSE["rooms"](ROOT / "metatl")
    assert {"data/", "net", "lab/"} <= set(found)
    assert sum(files for files, _ in found.values()) == len(list((ROOT / "metatl").rglob("*.py")))
