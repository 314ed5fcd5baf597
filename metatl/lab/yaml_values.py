"""YAML as plain values, with a bound on what a few bytes of it may stand for."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from metatl.types import MetatlError

LONGEST, MOST, MAPPINGS, DEEPEST = 1_000_000, 20_000, 500, 40
"""Characters; values, an alias counted as what it stands for; mappings, and keys of one; levels."""
_DIGITS = 100
_Plain: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's, ten times as fast
_Writer: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


def yaml_values(text: str, where: str) -> Any:
    """The values of a YAML text; raises MetatlError in one line for another one, or too large a one."""
    if len(text) > LONGEST:
        raise MetatlError(f"{where} is longer than {LONGEST:,} characters; a config is smaller")
    try:
        _check_size(text, where)
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MetatlError(f"{where} is not valid YAML: {' '.join(str(error).split())[:300]}") from error


def yaml_text(values: Any) -> str:
    """Plain values as YAML for another program."""
    return yaml.dump(values, Dumper=_Writer, sort_keys=False)


class _Loader(_Plain):
    """Numbers of a number's length: a long one in base 60, or many with one hash, take minutes."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Of as many keys as a reader of them can take."""
        if len(node.value) > MAPPINGS:
            raise yaml.YAMLError(f"a mapping of {len(node.value):,} keys; {MAPPINGS:,} at most")
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: Any) -> int:
        """At most 64 bits."""
        value = super().construct_yaml_int(node) if len(node.value) <= _DIGITS else 2**64
        if abs(value) >= 2**64:
            raise yaml.YAMLError(f"{node.value[:30]}... is a number beyond 64 bits")
        return int(value)

    def construct_yaml_float(self, node: Any) -> float:
        """Of a float's length."""
        if len(node.value) > _DIGITS:
            raise yaml.YAMLError(f"{node.value[:30]}... is too long a number")
        return float(super().construct_yaml_float(node))


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def _check_size(text: str, where: str) -> None:
    """Raise MetatlError before anything is made of the text: its events come one by one."""
    open_now, sizes = list[_Open](), dict[str, tuple[int, int]]()
    values = mappings = 0
    for event in yaml.parse(text, Loader=_Plain):
        if isinstance(event, yaml.AliasEvent):
            if any(one.anchor == event.anchor for one in open_now):
                raise MetatlError(f"{where}: *{event.anchor} stands for itself, more than any config holds")
            more = sizes.get(str(event.anchor), (1, 0))
            values, mappings = values + more[0], mappings + more[1]
        elif isinstance(event, yaml.CollectionStartEvent):
            open_now.append(_Open(event.anchor, values, mappings))
            values, mappings = values + 1, mappings + isinstance(event, yaml.MappingStartEvent)
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            one = open_now.pop()
            if one.anchor is not None:
                sizes[one.anchor] = values - one.values, mappings - one.mappings
        if values > MOST or mappings > MAPPINGS or len(open_now) > DEEPEST:
            raise MetatlError(
                f"{where} holds more than {MOST:,} values, {MAPPINGS:,} mappings, or values more than "
                f"{DEEPEST} levels deep; a config is smaller"
            )


class _Open(NamedTuple):
    """A list or mapping that has begun: its anchor, and what was counted before it."""

    anchor: str | None
    values: int
    mappings: int
