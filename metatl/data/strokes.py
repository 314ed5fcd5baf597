"""Characters of invented alphabets as small stroke programs, made in bulk from counter-based numbers.

An alphabet has a small vocabulary of pen strokes (lines, arcs, hooks, waves, loops, corners). A character is
two to four of them, each hung onto an earlier one at its start, middle or end.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from metatl.data.counter import below, bits, derived, normal, number, uniform

STROKES, POINTS, _TRIES = 4, 40, 4
_ALPHABET, _CHARACTER = 101, 102
_JOINTS = torch.tensor([0, POINTS // 2, POINTS - 1])
# One row a kind of stroke: how far along the chord and how far beside it the two inner control points lie.
_KINDS = torch.tensor(
    [
        [0.33, 0.00, 0.67, 0.00],  # line
        [0.20, 0.55, 0.80, 0.55],  # arc
        [0.25, 0.80, 0.95, 0.80],  # hook
        [0.33, 0.65, 0.67, -0.65],  # wave
        [1.40, 1.10, -0.40, 1.10],  # loop
        [0.50, 0.50, 0.50, 0.50],  # corner
    ],
    dtype=torch.float64,
)
_CORNER = 5


class Programs(NamedTuple):
    """Characters [c]: control points [c, strokes, 4, 2], and how the strokes hang together."""

    control: Tensor
    corner: Tensor
    present: Tensor
    parent: Tensor
    own_joint: Tensor
    parent_joint: Tensor


def programs(seed: int, characters: Tensor, alphabet: int, vocabulary: int) -> Programs:
    """The programs of characters [c] int64; `alphabet` characters in a row share `vocabulary` strokes."""
    own = bits(number(seed, _CHARACTER), characters)[:, None]
    which = torch.arange(STROKES)

    def words(purpose: int) -> Tensor:
        return bits(own + purpose, which)

    written = below(words(0), vocabulary)
    letters = bits(number(seed, _ALPHABET), characters // alphabet)[:, None] + written
    control, corner = _vocabulary(letters)
    count = 2 + below(words(1)[:, :1], 10).add_(2) // 4  # 2, 3 and 4 strokes in the ratio 2 : 4 : 4
    stretch = torch.exp(0.15 * normal(words(2)))[..., None, None]
    tries = [
        Programs(
            control * stretch,
            corner,
            which < count,
            below(words(3 + 3 * k), which.clamp(min=1)),
            _JOINTS[below(words(4 + 3 * k), 3)],
            _JOINTS[below(words(5 + 3 * k), 3)],
        )
        for k in range(_TRIES)
    ]
    best = torch.stack([_cells_touched(program) for program in tries]).argmax(0)
    each = torch.arange(len(characters))
    return Programs(*(torch.stack(versions)[best, each] for versions in zip(*tries, strict=True)))


def _cells_touched(program: Programs) -> Tensor:
    """Cells of a 10 x 10 grid that a clean drawing passes through, [c]: few where strokes hide each other."""
    clean = trace(program, program.control[:, None])
    cell = ((framed(clean, clean, program.present) + 1) * 5).clamp(0, 9.99).long()[:, 0]
    place = (cell[..., 0] * 10 + cell[..., 1]).masked_fill(~program.present[..., None], 100)
    touched = torch.zeros(len(cell), 101, dtype=torch.int64)
    return touched.scatter_(1, place.flatten(1), 1)[:, :100].sum(1)


def _vocabulary(letters: Tensor) -> tuple[Tensor, Tensor]:
    """Control points [..., 4, 2] of the strokes with these keys, and which are drawn with a corner."""
    draws = [derived(letters, k) for k in range(6)]
    kind = below(draws[0], len(_KINDS))
    angle = (below(draws[1], 8).to(torch.float64) + 0.15 * normal(draws[2])) * (torch.pi / 4)
    length = 0.6 + 0.8 * uniform(draws[3])
    side = (1.0 - 2.0 * (draws[4] & 1)) * (0.7 + 0.5 * uniform(draws[5]))
    inner = _KINDS[kind]
    zero, one = torch.zeros_like(length), torch.ones_like(length)
    along = torch.stack([zero, inner[..., 0], inner[..., 2], one], -1) - 0.5
    beside = torch.stack([zero, inner[..., 1], inner[..., 3], zero], -1) * side[..., None]
    cos, sin = angle.cos()[..., None], angle.sin()[..., None]
    points = torch.stack([along * cos - beside * sin, along * sin + beside * cos], -1)
    return points * length[..., None, None], kind == _CORNER


def _basis() -> tuple[Tensor, Tensor]:
    """[points, 4] each: from control points to points along a cubic Bezier curve, and two straight legs."""
    t = torch.linspace(0, 1, POINTS, dtype=torch.float64)[:, None]
    curve = torch.cat([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], 1)
    first, last = (1 - 2 * t).clamp(min=0), (2 * t - 1).clamp(min=0)
    middle = (1 - first - last) / 2
    return curve, torch.cat([first, middle, middle, last], 1)


def trace(program: Programs, control: Tensor, slip: Tensor | float = 0.0) -> Tensor:
    """Points [c, drawings, strokes, points, 2] of drawings with control points [c, drawings, strokes, 4, 2].

    slip: how far each joint misses its place, [c, drawings, strokes, 2].
    """
    curve, legs = _basis()
    pick = program.corner[:, None, :, None, None]
    points = torch.where(pick, legs @ control, curve @ control)
    each = torch.arange(len(points))
    placed = [points[:, :, 0]]
    for s in range(1, STROKES):
        done = torch.stack(placed, 2)
        to = done[each, :, program.parent[:, s], program.parent_joint[:, s]]
        own = points[each, :, s, program.own_joint[:, s]]
        miss = slip[:, :, s] if isinstance(slip, Tensor) else slip
        placed.append(points[:, :, s] + (to - own + miss)[:, :, None])
    return torch.stack(placed, 2)


def framed(points: Tensor, clean: Tensor, present: Tensor) -> Tensor:
    """Points [..., 2] moved and scaled as the clean drawing must be to fill -1 to 1 (with a margin)."""
    absent = ~present[:, None, :, None, None]
    low = clean.masked_fill(absent, 9.0).amin((2, 3), keepdim=True)
    high = clean.masked_fill(absent, -9.0).amax((2, 3), keepdim=True)
    half = ((high - low) / 2).amax(-1, keepdim=True)
    return (points - (low + high) / 2) * (0.72 / half)
