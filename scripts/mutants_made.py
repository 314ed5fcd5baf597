"""What is changed in a file of source: cosmic-ray's operators, two of our own, and the hand-made mutants.

A mutant is one change at one place. Changes that the compiler drops (annotations, docstrings) are none.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cosmic_ray.ast import ast_nodes, get_ast, is_number
from cosmic_ray.mutating import mutate_code
from cosmic_ray.operators.operator import Operator
from cosmic_ray.operators.provider import OperatorProvider
from parso.python.tree import Number

CORE = ("adapt", "guides", "rules", "engines", "evaluation", "learners", "aggregates", "heads")
CORE_FILES = ("norm.py", "net.py", "train.py")
LEFT_OUT = ("RemoveDecorator", "ExceptionReplacer", "VariableReplacer", "VariableInserter")
"""Without its decorator no class of ours can be made; the last two need names of variables."""


class DropOperand(Operator):
    """`a + b` becomes `a`: something that a sum or a product depends on is forgotten."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        if node.type in ("arith_expr", "term"):
            for sign, operand in zip(node.children[1::2], node.children[2::2], strict=True):
                yield sign.start_pos, operand.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        node.children[1 + 2 * index : 3 + 2 * index] = []
        return node

    @classmethod
    def examples(cls) -> Sequence[Any]:
        return ()


class HalveNumber(Operator):
    """A number with a point becomes half of it: 0.1 + 1, as cosmic-ray has it, is refused by most values."""

    def mutation_positions(self, node: Any) -> Iterator[Any]:
        if is_number(node) and isinstance(ast.literal_eval(node.value), float) and float(node.value):
            yield node.start_pos, node.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        return Number(f" {float(node.value) / 2!r}", node.start_pos)

    @classmethod
    def examples(cls) -> Sequence[Any]:
        return ()


def operators() -> dict[str, type[Operator]]:
    theirs = OperatorProvider()
    kept = {name: theirs[name] for name in theirs if name not in LEFT_OUT}
    return {**kept, "DropOperand": DropOperand, "HalveNumber": HalveNumber}


@dataclass(frozen=True)
class Mutant:
    """One change: `operator` at its `occurrence`-th place in `file` (from the repository's root)."""

    file: str
    line: int
    column: int
    operator: str
    occurrence: int = 0
    old: str = ""
    new: str = ""

    @property
    def room(self) -> str:
        first = self.file.split("/")[1]
        return first.removesuffix(".py")

    def source(self, text: str) -> str | None:
        """The file with the change; None where there is none."""
        if self.old:
            return text.replace(self.old, self.new, 1) if self.old in text else None
        changed = mutate_code(text, operators()[self.operator](), self.occurrence)
        return changed if changed is not None and meaning(changed) != meaning(text) else None


HAND_MADE = (
    Mutant("metatl/train.py", 59, 0, "by hand", old="(seed * 1_000_003 + state.step) % 2**63", new="seed"),
    Mutant(
        "metatl/learners/supervised.py", 61, 0, "by hand", old="_rate: float = 0.1", new="_rate: float = 0.05"
    ),
)
"""Two that lived once."""


def meaning(text: str) -> str:
    """What the compiler sees, less annotations and docstrings; '' for what is no Python."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(0)
        elif isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value = ast.Constant(0)
    return ast.dump(tree)


def core(root: Path, rooms: Sequence[str] = ()) -> list[Path]:
    """Files of the core, or of some rooms of it; sorted."""
    folders = [path for room in CORE for path in (root / "metatl" / room).rglob("*.py")]
    found = [*folders, *(root / "metatl" / name for name in CORE_FILES)]
    named = {path: path.relative_to(root / "metatl").parts[0].removesuffix(".py") for path in found}
    return sorted(path for path in found if not rooms or named[path] in rooms)


def mutants_of(root: Path, path: Path) -> list[Mutant]:
    """Every change of a file, in the order of the text."""
    nodes, found = list(ast_nodes(get_ast(path.read_text(encoding="utf-8")))), []
    file = path.relative_to(root).as_posix()
    for name, operator in operators().items():
        places = (place for node in nodes for place in operator().mutation_positions(node))
        found += [Mutant(file, *start, name, i) for i, (start, _) in enumerate(places)]
    return sorted(found, key=lambda m: (m.line, m.column, m.operator, m.occurrence))


def drawn(root: Path, files: Sequence[Path], seed: int) -> Iterator[Mutant]:
    """Places in random order, and one change at each: a sign has eleven changes, a number two or three."""
    places: dict[tuple[str, int, int], list[Mutant]] = {}
    for path in files:
        for mutant in mutants_of(root, path):
            places.setdefault((mutant.file, mutant.line, mutant.column), []).append(mutant)
    chance = random.Random(seed)
    for place in chance.sample(sorted(places), len(places)):
        yield chance.choice(places[place])
