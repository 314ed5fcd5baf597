"""Which tests a changed file of the core meets: those that name it most often, then those of its room."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

LAWS = "tests/laws/test_{}.py"
ROOMS: dict[str, tuple[str, ...]] = {
    "adapt": ("training", "protocol"),
    "guides": ("rules_and_guides", "masks"),
    "rules": ("rules_and_guides", "training", "rates"),
    "engines": ("kernels_by_task", "engines", "engines_odd", "norms"),
    "evaluation": ("statistics", "protocol"),
    "learners": ("steps", "resume", "streams", "other_directions"),
    "aggregates": ("aggregates_exact", "routing"),
    "heads": ("heads_and_terms"),
    "norm": ("norms",),
    "net": ("norms", "own_pictures", "heads_and_terms"),
    "train": ("steps", "streams"),
}
"""Of each room, files of `tests/laws`."""
ALWAYS = "defaults"
MOST = 2


def names_of(path: Path, root: Path) -> list[str]:
    """What tests may call a file: its dotted name, its own in quotes, its public classes and functions."""
    dotted = ".".join(path.relative_to(root).with_suffix("").parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    own = [n.name for n in tree.body if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name[0] != "_"]
    return [dotted, f'"{path.stem}"', *own]


@cache
def _texts(root: Path) -> dict[str, str]:
    found = sorted(
        [*(root / "tests" / "laws").glob("test_*.py"), *(root / "tests" / "oracles").glob("test_*.py")]
    )
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in found}


def laws_of(root: Path, file: str) -> list[str]:
    """Test files for a source file, those that name it most often first."""
    names = names_of(root / file, root)
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names))
    counts = {test: len(pattern.findall(text)) for test, text in _texts(root).items()}
    most = sorted((test for test in counts if counts[test]), key=lambda test: (-counts[test], test))[:MOST]
    room = file.split("/")[1].removesuffix(".py")
    return list(
        dict.fromkeys(
            LAWS.format(name) if "/" not in name else name for name in (ALWAYS, *most, *ROOMS[room])
        )
    )
