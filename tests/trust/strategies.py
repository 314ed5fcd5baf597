"""Hypothesis strategies: bytes that were harmed, values that were changed, words that make no sense."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from metatl import data, engines, guides, heads, learners, models, objectives, rules

FAMILIES = (data, engines, guides, heads, learners, models, objectives, rules)
DOWNLOADS = {"Mnist", "Omniglot"}
MEMBERS = sorted(
    {name for family in FAMILIES for name in vars(family) if name[0].isupper() and not name.isupper()}
    - DOWNLOADS
)
WORDS = [
    "",
    " ",
    "..",
    "/",
    "x" * 300,
    "é\u2028",
    "a\nb",
    "null",
    "1e3",
    "cpu",
    "all",
    "true",
    "[1",
    "{",
    "!!int x",
]
NUMBERS = [-(2**70), -(2**40), -7, -1, 0, 1, 2, 3, 5, 2**40, 2**63 - 1, 2**63, 2**70, 10**30]
REALS = [0.0, -0.0, 0.5, -1.5, 1e-320, 1e30, 1e308, float("inf"), float("-inf"), float("nan")]

leaf = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from(NUMBERS),
    st.sampled_from(REALS),
    st.sampled_from(WORDS),
    st.sampled_from(MEMBERS),
    st.text(max_size=6),
)
junk = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.one_of(st.sampled_from(["class_path", "init_args", "lr", "a"]), leaf), inner, max_size=3
        ),
        st.builds(
            lambda name, given: {"class_path": name, "init_args": given}, st.sampled_from(MEMBERS), inner
        ),
    ),
    max_leaves=6,
)


@st.composite
def harmed(draw: st.DrawFn, whole: bytes) -> bytes:
    """These bytes with one to four places cut, flipped, zeroed, repeated, moved or written over."""
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(whole) - 1, 0)))
        size = draw(st.sampled_from([1, 2, 4, 8, 64, 1000]))
        front, part, rest = whole[:place], whole[place : place + size], whole[place + size :]
        match draw(st.integers(0, 6)):
            case 0:
                whole = front
            case 1:
                whole = (
                    front + bytes(byte ^ 1 << draw(st.integers(0, 7)) for byte in part[:2]) + part[2:] + rest
                )
            case 2:
                whole = front + bytes(len(part)) + rest
            case 3:
                whole = front + part + part + rest
            case 4:
                whole = front + rest
            case 5:
                whole = front + b"\xff" * len(part) + rest
            case _:
                whole = front + draw(st.binary(max_size=16)) + rest
    return whole


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in nested ones."""
    inner = (
        value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    )
    return [above] * bool(above) + [path for key, item in inner for path in paths(item, (*above, key))]


@st.composite
def changed(draw: st.DrawFn, values: Any, most: int = 3) -> Any:
    """Nested values of which one to `most` are replaced, left out, swapped, or joined by unknown ones."""
    values = copy.deepcopy(values)
    for _ in range(draw(st.integers(1, most))):
        known = paths(values)
        if not known:
            return draw(junk)
        *way, key = draw(st.sampled_from(known))
        holder = values
        for step in way:
            holder = holder[step]
        match draw(st.integers(0, 5)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw(st.one_of(st.sampled_from(WORDS), leaf))] = draw(junk)
            case 2:
                other: Any = values
                for step in draw(st.sampled_from(known)):
                    other = other[step] if holder_of(other, step) else other
                holder[key] = copy.deepcopy(other)
            case 3:
                holder[key] = draw(leaf)
            case _:
                holder[key] = draw(junk)
    return values


def holder_of(value: Any, key: Any) -> bool:
    """Whether a value has something under this key."""
    return (
        key in value if isinstance(value, Mapping) else isinstance(value, list) and key in range(len(value))
    )


KINDS = ["u1", "i4", "i8", "u8", "f2", "f4", "f8", "c8", "?", "U3", "S2", "M8[s]"]


@st.composite
def array(draw: st.DrawFn) -> Any:
    """A small array of any kind and rank, with odd values."""
    shape = draw(arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
    return draw(arrays.arrays(np.dtype(draw(st.sampled_from(KINDS))), shape))


labelled = st.one_of(
    st.builds(
        lambda n, way, x: {"x": np.resize(x, (n, 3)), "y": np.arange(n) % way},
        st.integers(0, 12), st.integers(1, 5), arrays.arrays(np.float64, 6),
    ),
    st.dictionaries(st.sampled_from(["x", "y", "names", "z"]), array(), max_size=4),
)  # fmt: skip
