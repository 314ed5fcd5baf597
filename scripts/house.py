"""The house in figures: lines by room, what is longest, docstrings with shapes, names that two classes share.

    python scripts/house.py          # of this checkout, a second

A report and no gate: `tests/laws/test_house.py` lets no two public classes share a name, and
`tests/test_layering.py` the length of files.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_SIZE = r"(?:\*?[a-zA-Z][\w.]*|\.\.\.|\d+)"
SHAPE = re.compile(rf"\[(?=[^\]]*[a-zA-Z]){_SIZE}(?:(?:, | [*+-] |-){_SIZE})*\]|\b0-d\b")
"""`[n]`, `[n, d]`, `[tasks, n, ...]`, `0-d`; `[0, 1]` is an interval."""
HEADING = re.compile(r"^#{1,6} ")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def rooms(package: Path) -> dict[str, tuple[int, int]]:
    """Files and lines of each first-level folder (`data/`) and file (`net`) of Python, most lines first."""
    found: dict[str, tuple[int, int]] = {}
    for path in sorted(package.rglob("*.py")):
        first, *rest = path.relative_to(package).parts
        name = f"{first}/" if rest else path.stem
        files, lines = found.get(name, (0, 0))
        found[name] = files + 1, lines + lines_of(path)
    return dict(sorted(found.items(), key=lambda one: (-one[1][1], one[0])))


def longest_file(package: Path) -> tuple[str, int]:
    path = max(sorted(package.rglob("*.py")), key=lines_of)
    return path.relative_to(package.parent).as_posix(), lines_of(path)


def sections(page: str) -> dict[str, int]:
    """Lines of each section of a Markdown page, its heading included; a `#` inside a fence is no heading."""
    found, title, fenced = {}, "", False
    for line in page.splitlines():
        fenced ^= line.startswith("```")
        if HEADING.match(line) and not fenced:
            title = line.lstrip("# ")
        found[title] = found.get(title, 0) + 1
    return found


def documented(tree: ast.Module) -> Iterator[tuple[ast.ClassDef | Function, str]]:
    """Public classes, functions and methods of public classes, with their docstrings; not what is nested."""

    def inside(body: list[ast.stmt]) -> Iterator[tuple[ast.ClassDef | Function, str]]:
        for node in body:
            if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
                if text := ast.get_docstring(node):
                    yield node, text
                if isinstance(node, ast.ClassDef):
                    yield from inside(node.body)

    yield from inside(tree.body)


def names_a_tensor(node: ast.ClassDef | Function) -> bool:
    """Whether a function's annotations name a Tensor."""
    if isinstance(node, ast.ClassDef):
        return False
    given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    hints = [one for one in [*(part.annotation for part in given), node.returns] if one is not None]
    return any("Tensor" in ast.unparse(hint) for hint in hints)


def shapes(trees: Mapping[str, ast.Module]) -> dict[str, tuple[int, int]]:
    """Public docstrings that name a shape, and all; the same of functions whose annotations name a Tensor."""
    found = [one for tree in trees.values() for one in documented(tree)]
    tensors = [one for one in found if names_a_tensor(one[0])]
    told = {"public docstrings": found, "those of functions of tensors": tensors}
    return {
        name: (sum(bool(SHAPE.search(text)) for _, text in group), len(group)) for name, group in told.items()
    }


def shared_names(trees: Mapping[str, ast.Module], *, public: bool) -> dict[str, list[str]]:
    """Names of classes at the top of more than one file, with the files."""
    found: dict[str, list[str]] = {}
    for path, tree in trees.items():
        for node in tree.body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("_") != public:
                found.setdefault(node.name, []).append(path)
    return {name: files for name, files in sorted(found.items()) if len(files) > 1}


def trees_of(package: Path) -> dict[str, ast.Module]:
    return {
        path.relative_to(package).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }


def report(root: Path = ROOT) -> list[str]:
    package, trees = root / "metatl", trees_of(root / "metatl")
    found = rooms(package)
    files, lines = (sum(one[i] for one in found.values()) for i in (0, 1))
    said = [f"{'room':<20} {'files':>5} {'lines':>6}"]
    said += [f"{name:<20} {one[0]:>5} {one[1]:>6,}" for name, one in found.items()]
    said += [f"{'all':<20} {files:>5} {lines:>6,}", ""]
    name, length = longest_file(package)
    parts = sections((root / "README.md").read_text(encoding="utf-8"))
    title = max(parts, key=parts.__getitem__)
    said += [f"longest file: {name}, {length} lines"]
    said += [f"README: {sum(parts.values())} lines; longest section: {title}, {parts[title]} lines"]
    for name, (some, all_) in shapes(trees).items():
        said.append(f"shapes in {name}: {some} of {all_} ({100 * some / max(all_, 1):.0f} %)")
    for public in (True, False):
        kind, shared = "public" if public else "private", shared_names(trees, public=public)
        said += [f"{kind} class names in more than one file: {len(shared)}"]
        said += [f"  {name}: {', '.join(where)}" for name, where in shared.items()]
    return said


if __name__ == "__main__":
    sys.stdout.write("\n".join(report()) + "\n")
