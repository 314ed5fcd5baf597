"""Noisy drawings of stroke programs, rendered in bulk.

A drawing repeats the program with an unsteady hand: control points, stroke angles and sizes, joints, slant,
proportions, place and pen width vary. All is float64 from counter-based numbers and ends in bytes, so a
drawing depends on its key alone, whatever is drawn beside it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from metatl.data.counter import bits, normal
from metatl.data.strokes import STROKES, Programs, framed, trace


def draw(program: Programs, keys: Tensor, size: int, jitter: float) -> Tensor:
    """Drawings [c, drawings, size, size] uint8, ink 255, one for each key [c, drawings]."""
    shape = keys.shape

    def noise(purpose: int, scale: float, *extra: int) -> Tensor:
        words = bits((keys + (purpose << 32)).unsqueeze(-1), torch.arange(max(1, torch.Size(extra).numel())))
        return normal(words).view(*shape, *extra) * (scale * jitter)

    control = program.control[:, None] * torch.exp(noise(0, 0.12, STROKES))[..., None, None]
    control = _turned(control, noise(1, 0.14, STROKES)[..., None]) + noise(2, 0.075, STROKES, 4, 2)
    points = trace(program, control, noise(3, 0.06, STROKES, 2))
    points = framed(points, trace(program, program.control[:, None]), program.present)
    stretch, shear = torch.exp(noise(4, 0.15, 2)), noise(5, 0.22)
    x, y = (points * stretch[:, :, None, None]).unbind(-1)
    points = torch.stack([x + shear[:, :, None, None] * y, y], -1)
    points = _turned(points, noise(6, 0.16)[:, :, None, None]) + noise(7, 0.11, 2)[:, :, None, None]
    pen = 0.026 * size * torch.exp(noise(8, 0.16))
    ink = render((points + 1) * (size / 2), program.present, pen, size)
    return (ink + noise(9, 0.02, size, size)).clamp_(0, 1).mul_(255).round_().to(torch.uint8)


def _turned(points: Tensor, angle: Tensor) -> Tensor:
    """Points [..., 2] turned about the origin by angles that broadcast to [...]."""
    x, y = points.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([x * cos - y * sin, x * sin + y * cos], -1)


def render(points: Tensor, present: Tensor, pen: Tensor, size: int) -> Tensor:
    """Ink in 0 .. 1, [c, drawings, size, size], of strokes through points given in pixels.

    Every point leaves a round blot, weighted by the length that it stands for; blots are separable, so an
    image is one matrix product, sum over points of row profile x column profile, put through a soft
    threshold.
    """
    steps = (points[..., 1:, :] - points[..., :-1, :]).norm(dim=-1)
    length = torch.nn.functional.pad(steps, (1, 0)) + torch.nn.functional.pad(steps, (0, 1))
    weight = (length * present[:, None, :, None]).flatten(2) / (2 * (2 * torch.pi) ** 0.5 * pen[..., None])
    centres = torch.arange(size, dtype=torch.float64) + 0.5
    pens = pen[..., None, None]
    away = (points.flatten(2, 3) / pens).unsqueeze(-1) - (centres / pens).unsqueeze(-2)
    profile = away.square_().mul_(-0.5).exp_()
    column, row = profile[..., 0, :], profile[..., 1, :]
    return torch.sigmoid(((row * weight[..., None]).mT @ column - 0.45) * 9.0)
