"""Weights that move along directions which are held as buffers."""

from __future__ import annotations

from dataclasses import dataclass

from metatl import tree
from metatl.additions import Through
from metatl.types import Buffers, Params

Z = "subspace.z"
"""The name of the numbers that move."""
FRONT = "subspace."
"""Before the names of directions, which are those of their weights."""


@dataclass(frozen=True)
class Directions(Through):
    """theta + sum_i z_i v_i, with directions v_i [k, ...] held as buffers of the weights that they move."""

    def __call__(self, params: Params, buffers: Buffers) -> tuple[Params, Buffers]:
        """The module's own weights and buffers."""
        z = params[Z]
        new = {name: leaf for name, leaf in params.items() if name != Z}
        theirs = {name: key for name in new if (key := FRONT + name) in buffers}
        for name, key in theirs.items():
            held = buffers[key]
            new[name] = params[name] + (z.to(held) @ tree.lines(held)).view(held.shape[1:])
        return new, {name: leaf for name, leaf in buffers.items() if name not in theirs.values()}
