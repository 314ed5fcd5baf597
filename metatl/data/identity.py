"""What tells one net from another beside its weights: what rows that are kept on disk depend on."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metatl import tree
from metatl.importing import is_own

_OF_TORCH = frozenset(vars(nn.Module())) | {"training"}
"""Attributes that every module has."""


def words_of(module: nn.Module, *values: object) -> list[str]:
    """The module's printed form, its attributes, the values, and the code of somebody's own among them all.

    A net's printed form says nothing of a factor in its `forward`, nor of a number that is no argument of a
    layer. Code is the source of own modules (neither installed nor metatl's), those that they use included,
    and the functions of classes that have no file. The same in every process.
    """
    words, types = [repr(module), *map(_said, values)], list[Any]()
    for name, one in module.named_modules():
        types += type(one).__mro__
        own = {key: value for key, value in vars(one).items() if key not in _OF_TORCH}
        words += [f"{name}.{key} = {_said(value)}" for key, value in sorted(own.items())]
        types += own.values()
    for value in values:
        types += _inside(value)
    return [*words, *_code(types)]


def _said(value: object) -> str:
    """A value in words that are the same in every process; numbers of arrays by their bytes."""
    if isinstance(value, Tensor | np.ndarray):
        return hashlib.sha256(tree.bits(torch.as_tensor(value).cpu()).numpy().tobytes()).hexdigest()
    if isinstance(value, nn.Module):
        return repr(value)
    if isinstance(value, dict | list | tuple):
        parts = value.items() if isinstance(value, dict) else value
        return f"{type(value).__name__}({', '.join(map(_said, parts))})"
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}({', '.join(sorted(map(_said, value)))})"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def _inside(value: object) -> Iterator[Any]:
    """The types of a value and of all that it is made of; a dotted path is what it names."""
    if isinstance(value, str):
        place, _, name = value.replace(":", ".").rpartition(".")
        if place in sys.modules and hasattr(sys.modules[place], name):
            yield getattr(sys.modules[place], name)
        return
    yield from type(value).__mro__
    if is_dataclass(value):
        value = [getattr(value, one.name) for one in fields(value)]
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list | tuple):
        for part in value:
            yield from _inside(part)


def _code(found: Iterable[Any]) -> list[str]:
    """The source of own modules that define these, or the functions where there is no file."""
    told, waiting, seen = dict[str, str](), list(found), set[str]()
    while waiting:
        one = waiting.pop()
        name = one.__name__ if isinstance(one, ModuleType) else getattr(one, "__module__", None)
        module = sys.modules.get(name) if isinstance(name, str) else None
        if module is None:
            continue
        file = getattr(module, "__file__", None)
        if file is None and name == "__main__" and isinstance(one, type | FunctionType):
            functions = vars(one).values() if isinstance(one, type) else [one]
            told[f"{name}.{one.__qualname__}"] = repr([*map(_compiled, functions)])
        elif name not in seen and is_own(file):
            told[str(name)] = hashlib.sha256(Path(str(file)).read_bytes()).hexdigest()
            waiting += vars(module).values()
        seen.add(str(name))
    return [f"{name}: {source}" for name, source in sorted(told.items())]


def _compiled(function: object) -> Any:
    """What a function does, names and numbers included; nothing of what is none."""
    code = function if isinstance(function, CodeType) else getattr(function, "__code__", None)
    if code is None:
        return None
    inner = [_compiled(one) if isinstance(one, CodeType) else _said(one) for one in code.co_consts]
    return code.co_code, code.co_names, inner
