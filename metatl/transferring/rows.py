"""The rows of the table: ways of transferring, as configs that lie inside the package."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from jsonargparse import ArgumentParser

from metatl.lab import store
from metatl.lab.describe import completed, merged
from metatl.lab.experiment import with_value
from metatl.lab.instances import instance
from metatl.lab.yaml_values import yaml_values
from metatl.text import near
from metatl.transferring.row import BOTH, Row
from metatl.types import MetatlError

FOLDER = Path(__file__).parent.parent / "rows" / "transfer"
ALL, USUAL, DOMAINS, OWN = "all", "usual", "domains", (".yaml", ".yml")
"""Words for every row, for those that run where none are named, for those that read source and target; ends
of a path to a row of one's own."""
REFERENCES, NO_TRANSFER = ("logistic-regression", "ridge"), "no-transfer"
"""Rows that differences are paired with, the first that fits the targets; the one that says who is harmed."""


def files() -> dict[str, Path]:
    """The config of every row, by its name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def told(path: Path) -> list[str]:
    """What a row is, and its config."""
    lines = store.read_text(path, "config").rstrip().splitlines()
    return [f"{path.stem}, a row of 'metatl transfer':", *(f"  {line}" for line in lines)]


def own(words: Sequence[str]) -> dict[str, Path]:
    """The rows of one's own among words, configs at a path, by the name of their file.

    Raises MetatlError for a name that a row has already.
    """
    found = {Path(word).stem: Path(word) for word in words if Path(word).suffix in OWN}
    for name, path in found.items():
        if name in (*files(), ALL, USUAL, DOMAINS):
            raise MetatlError(
                f"{path}: 'metatl methods' has a row {name!r} already; give the file another name"
            )
    return found


def named(word: str) -> str:
    """The name of the row that a word asks for: its own, or that of its file."""
    return Path(word).stem if Path(word).suffix in OWN else word


def spelt(word: str) -> str:
    """The row whose letters these are, whatever hyphens, underscores, spaces and capitals: incontext say."""
    if Path(word).suffix in OWN:
        return word
    letters = str.maketrans("", "", "-_ ")
    alike = {name.translate(letters): name for name in files()}
    return alike.get(word.translate(letters).lower(), word)


def rows(chosen: Sequence[str] = (ALL,)) -> dict[str, Row]:
    """Rows by name, by the path of a config of one's own, or by `usual`, `domains`, `all`, in tables' order.

    Raises MetatlError for a name that is none.
    """
    known = files()
    for name in chosen:
        if not name.strip():
            raise MetatlError("methods: a name is empty; name rows of 'metatl methods', or leave methods out")
        if name not in (*known, ALL, USUAL, DOMAINS) and Path(name).suffix not in OWN:
            raise MetatlError(f"method {name!r} is none of 'metatl methods'{near(name, known)}")
    found = {name: read(path) for name, path in known.items() if _asked(name, path, chosen)}
    found |= {name: read(path) for name, path in own(chosen).items()}
    return dict(sorted(found.items(), key=lambda item: item[1].order))


def _asked(name: str, path: Path, chosen: Sequence[str]) -> bool:
    """Whether words mean a row, by what its config says, which is read far faster than the row is made."""
    if name in chosen or ALL in chosen or (USUAL in chosen and said(path)["usual"]):
        return True
    return DOMAINS in chosen and said(path)["family"] == BOTH


def said(path: Path) -> dict[str, Any]:
    """What a row's config says in words and numbers of its own, over that of its base, with defaults."""
    plain = {one.name: one.default for one in fields(Row) if one.default is not MISSING}
    return plain | _values(path)


def scaled(row: Row, rate: float, seen: float) -> Row:
    """The row with its rates, and the rows that it sees, multiplied, where its body moves.

    So is the share of weights that a mask lets move: of a smaller net it is a larger one.
    """
    if row.moves == "head" or (rate == 1 and seen == 1):
        return row
    schedule = replace(
        row.schedule, passes=round(seen * row.schedule.passes), most=round(seen * row.schedule.most)
    )
    select = {
        path: _times(rate, values) if path.endswith("lr") else values
        for path, values in (row.select or {}).items()
    }
    mask = row.mask
    if mask is not None and hasattr(mask.shape, "density"):
        mask = with_value(mask, "shape.density", min(1.0, seen * cast(Any, mask.shape).density))
    adaptation = with_value(row.adaptation, "rule.lr", rate * cast(Any, row.adaptation).rule.lr)
    return replace(row, schedule=schedule, adaptation=adaptation, select=select or row.select, mask=mask)


def _times(rate: float, values: Any) -> Any:
    if isinstance(values, dict):
        return {kind: _times(rate, own) for kind, own in cast(dict[Any, Any], values).items()}
    return [rate * value for value in values]


def digest(words: Sequence[str] = ()) -> str:
    """Of all rows' files, and of the configs among words: rows that were changed are other rows."""
    said = [(path.stem, store.read_text(path, "config")) for path in sorted(FOLDER.glob("*.yaml"))]
    said += [(name, repr(_values(path))) for name, path in sorted(own(words).items())]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


@cache
def read(path: Path) -> Row:
    """The row of a config file, over that of its `base`, if it names one; MetatlError naming the file.

    base: a file beside it, or the name of a row.
    """
    values, known = _values(path), [one.name for one in fields(Row)]
    if wrong := values.keys() - {*known}:
        raise MetatlError(f"{path}: a row has no key {min(wrong)!r}{near(min(wrong), known)}")
    return parsed(values, Row, str(path))


def _values(path: Path) -> dict[str, Any]:
    values = yaml_values(store.read_text(path, "config"), str(path))
    base = values.pop("base", None)
    if base is None:
        return values
    beside: Path = path.parent / str(base)
    return merged(_values(beside if beside.is_file() else files().get(named(str(base)), beside)), values)


def parsed(values: Mapping[str, Any], made: type[Any], where: str) -> Any:
    """An instance from plain values, by the same rules as a config; raises MetatlError in one line."""
    parser = _parser(made)
    try:
        given = completed(values, made)
        return instance(made, parser, given, lambda: parser.parse_object(given, defaults=False))
    except Exception as error:
        said = str(error) if isinstance(error, MetatlError) else " ".join(str(error).split())[:400]
        raise MetatlError(f"{where}: {said}") from error


@cache
def _parser(made: type[Any]) -> ArgumentParser:
    logging.getLogger("jsonargparse").setLevel(logging.ERROR)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(made, None, fail_untyped=False)
    return parser
