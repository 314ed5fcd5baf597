"""Made domains of two classes, and shifts of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np

KINDS = ("covariate", "label", "concept")
WIDTH = 6


def rule(x: Any, turned: bool = False) -> Any:
    """P(class 1): bent in one input, straight in another; turned: by an input that played no part."""
    slope = 1.5 * x[:, 0] + x[:, 2] ** 2 - 1 + (2.5 * x[:, 1] if turned else 0.0)
    return 1 / (1 + np.exp(-2 * slope))


def made(kind: str, n: int, draw: np.random.Generator) -> tuple[Any, Any]:
    """Inputs [n, 6] and classes [n] of a domain; kind: how it differs from the one called none.

    covariate: a mean moved by 0.6 and a deviation of 1.4, the rule as it was; label: a quarter of class 1
    (about half before), the inputs of a class as they were; concept: the rule turned, not the inputs.
    """
    many = n if kind != "label" else 20 * n
    x = draw.normal(size=(many, WIDTH))
    if kind == "covariate":
        x[:, 0] += 0.6
        x[:, 3] *= 1.4
    y = (draw.random(many) < rule(x, kind == "concept")).astype(np.int64)
    if kind == "label":
        wanted = draw.random(n) < 0.25
        ones, zeros = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
        taken = np.where(wanted, ones[:n], zeros[:n])
        return x[taken], y[taken]
    return x, y
