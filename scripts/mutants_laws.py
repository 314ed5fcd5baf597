"""Which tests a changed file of the core meets: those that name it most often, then those of its room."""

from __future__ import annotations

import ast
import re
from collections import Counter
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
    "heads": ("heads_and_terms",),
    "norm": ("norms",),
    "net": ("norms", "own_pictures", "heads_and_terms"),
    "train": ("steps", "streams"),
}
"""Of each room, files of `tests/laws`."""
ALWAYS = "defaults"
MOST = 4


def names_of(path: Path, root: Path) -> list[str]:
    """What tests call a file: its dotted name, its own in quotes, its public classes."""
    dotted = ".".join(path.relative_to(root).with_suffix("").parts)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [n.name for n in tree.body if isinstance(n, ast.ClassDef) and not n.name.startswith("_")]
    return [dotted, f'"{path.stem}"', *classes]


@cache
def _texts(root: Path) -> dict[str, str]:
    found = sorted(
        [*(root / "tests" / "laws").glob("test_*.py"), *(root / "tests" / "oracles").glob("test_*.py")]
    )
    return {path.relative_to(root).as_posix(): path.read_text(encoding="utf-8") for path in found}


def named(file: Path, root: Path) -> Counter[str]:
    """How often each test file names a source file."""
    pattern = re.compile("|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in names_of(file, root)))
    counts = {test: len(pattern.findall(text)) for test, text in _texts(root).items()}
    return Counter({test: count for test, count in counts.items() if count})


def importers(file: Path, root: Path) -> list[Path]:
    """The files of the package that import this one."""
    dotted = ".".join(file.relative_to(root).with_suffix("").parts)
    above = dotted.rpartition(".")[0]
    asked = rf"{re.escape(dotted)} import|{re.escape(above)} import .*\b{file.stem}\b"
    wanted = re.compile(rf"^ *from (?:{asked})", re.MULTILINE)
    return [one for one in sorted((root / "metatl").rglob("*.py")) if wanted.search(one.read_text("utf-8"))]


def laws_of(root: Path, file: str) -> list[str]:
    """Test files for a source file: those that name it most often, then those of what imports it, ..."""
    found, files, seen = dict[str, None](), [root / file], {root / file}
    while files and len(found) < MOST:
        counts = sum((named(one, root) for one in files), Counter[str]())
        found |= dict.fromkeys(sorted(counts, key=lambda test: (-counts[test], test)))
        files = sorted({user for one in files for user in importers(one, root)} - seen)
        seen |= {*files}
    room = file.split("/")[1].removesuffix(".py")
    own = [LAWS.format(name) for name in ROOMS[room]]
    return list(dict.fromkeys([LAWS.format(ALWAYS), *list(found)[:MOST], *own]))
