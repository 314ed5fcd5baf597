"""What several nets carry, side by side in one memory: NAME-params, NAME-buffers, NAME-rule-ROLE."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from metatl import tree
from metatl.types import Transfer

Memory = dict[str, dict[str, Tensor]]


def held(name: str, given: Transfer) -> Memory:
    """The net of this name."""
    return {f"{name}-params": dict(given.params), f"{name}-buffers": dict(given.buffers)}


def taken(memory: Memory, name: str, like: Transfer) -> Transfer:
    """The net of this name; all that is no weight or buffer as in `like`."""
    return replace(like, params=memory[f"{name}-params"], buffers=memory.get(f"{name}-buffers", {}))


def of_rule(name: str, memory: Memory) -> Memory:
    """What the rule of this net's learner holds, by role."""
    return {f"{name}-rule-{role}": leaves for role, leaves in memory.items()}


def rule_in(memory: Memory, name: str) -> Memory:
    """The same as the learner has it."""
    start = f"{name}-rule-"
    return {role.removeprefix(start): leaves for role, leaves in memory.items() if role.startswith(start)}


def averaged(memory: Memory, name: str, path: Transfer, share: float) -> Memory:
    """NAME-teacher: share of the one held, the rest of the path; counts in buffers are the path's."""

    def mean(old: Tensor, new: Tensor) -> Tensor:
        return share * old + (1.0 - share) * new if new.is_floating_point() else new

    teacher = taken(memory, f"{name}-teacher", path)
    params, buffers = (
        tree.map(mean, getattr(teacher, part), getattr(path, part)) for part in ("params", "buffers")
    )
    return held(f"{name}-teacher", replace(path, params=params, buffers=buffers))
