"""Processes that agree before they work together, and speak with one voice."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from metatl.processes.job import machine, world, writer
from metatl.processes.values import everyones
from metatl.types import MetatlError

_LONGEST, _MOST = 60, 3
_NOTHING = "nothing"


def say(line: str) -> None:
    """A line on standard error, of one process of a job."""
    if writer():
        sys.stderr.write(f"metatl: {line}\n")
        sys.stderr.flush()


def agree(facts: Mapping[str, Any]) -> None:
    """Raise MetatlError in every process unless all of them give the same facts, by name.

    It names the processes that differ from most others (from process 0 where there are as many of each), and
    in what. Nothing at all where a process is alone.
    """
    if world() == 1:
        return
    said = {name: str(value) for name, value in facts.items()}
    everybody = everyones((machine(), said))
    told = [facts for _, facts in everybody]
    texts = [json.dumps(one, sort_keys=True) for one in told]
    if len(set(texts)) == 1:
        return
    usual = texts.index(Counter(texts).most_common(1)[0][0])
    others = [place for place, text in enumerate(texts) if text != texts[usual]]
    first = told[others[0]]
    names = [name for name in {**told[usual], **first} if first.get(name) != told[usual].get(name)]
    which = ", ".join(f"{place} (on {everybody[place][0]})" for place in others[:_MOST])
    more = f" and {len(others) - _MOST} more" if len(others) > _MOST else ""
    what = [
        f"{name} ({_short(first.get(name))}; process {usual} has {_short(told[usual].get(name))})"
        for name in names[:_MOST]
    ]
    what += [f"{len(names) - _MOST} more"] if len(names) > _MOST else []
    raise MetatlError(
        f"process {which}{more} of {world()} differs in {', '.join(what)}; start all processes with the same "
        "command, config, data and versions"
    )


def _short(value: str | None) -> str:
    text = _NOTHING if value is None else value
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."
