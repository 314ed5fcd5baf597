"""Newton's method for many small multinomial logistic regressions side by side."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from metatl.deadline import in_time

Array = NDArray[np.float64]
SOLVED, SLOPE, NOISE = 1e-14, 1e-4, 1e-15
"""A step that promises less than this is the last one, as the next would promise its square; the share of
what it promises that a step must keep; what rounding may add to a loss, as a share of 1 + loss."""
HALVINGS, NONE = 40, 1e-14
"""Of a step at most; the share of the largest variance below which a direction of the rows has none."""


class _Problems(NamedTuple):
    """rows [problems, rows, width + 1], ones last; target and share as in `minimum`; penalty [width + 1]."""

    rows: Array
    target: Array
    share: Array
    penalty: Array
    plane: Array

    def loss(self, at: Array) -> tuple[Array, Array]:
        """The losses [problems] and the classes' probabilities [problems, rows, classes] there."""
        log = self.rows @ np.swapaxes(self.plane @ at, 1, 2)
        log -= log.max(2, keepdims=True)
        log -= np.log(np.exp(log).sum(2, keepdims=True))
        size = (self.penalty * at * at).sum((1, 2))
        return 0.5 * size - (self.target * log).sum((1, 2)), np.exp(log)

    def step(self, at: Array, chance: Array) -> tuple[Array, Array]:
        """The Newton steps, and by how much twice each promises to lower its loss."""
        error = (chance * self.share[..., None] - self.target) @ self.plane
        slope = np.swapaxes(error, 1, 2) @ self.rows + self.penalty * at
        mean = chance @ self.plane
        spread = np.einsum("bnc,ck,cl->bnkl", chance, self.plane, self.plane)
        spread -= mean[..., :, None] * mean[..., None, :]
        spread *= self.share[..., None, None]
        count, n, width = self.rows.shape
        ways = spread.shape[2]
        curved = (spread[..., None] * self.rows[:, :, None, None]).reshape(count, n, -1)
        curved = (np.swapaxes(self.rows, 1, 2) @ curved).reshape(count, width, ways, ways, width)
        curved = curved.transpose(0, 2, 1, 3, 4).reshape(count, ways * width, ways * width)
        every = np.arange(ways * width)
        curved[:, every, every] += np.tile(np.maximum(self.penalty, NONE), ways)
        step = -np.linalg.solve(curved, slope.reshape(count, -1, 1)).reshape(at.shape)
        return step, -(slope * step).sum((1, 2))

    def at(self, some: NDArray[np.bool_]) -> _Problems:
        """Some of the problems."""
        return self._replace(rows=self.rows[some], target=self.target[some], share=self.share[some])


def unknowns(rows: int, width: int, classes: int) -> int:
    """Size of a problem's Newton equations."""
    return (classes - 1) * (min(rows, width) + 1)


def minimum(x: Array, target: Array, share: Array, l2: float, iterations: int) -> Array:
    """Minima of l2/2 |W|^2 - sum_ic t_ic log softmax_c(W x_i + b): [problems, classes, width + 1], b last.

    x: [problems, rows, width], centred; target: [problems, rows, classes], a row's share at its class; share:
    [problems, rows], 0 leaves a row out. As sum_c W_c is 0 at a minimum, and b is taken so too, the unknowns
    are coordinates of that plane. Every problem takes its own steps, whatever lies beside it.
    """
    inside, back = _span(x, share) if x.shape[1] < x.shape[2] else (x, None)
    rows = np.concatenate([inside, np.ones((*inside.shape[:2], 1))], 2)
    penalty = np.append(np.full(inside.shape[2], l2), 0.0)
    problems = _Problems(rows, target, share, penalty, _plane(target.shape[2]))
    at = np.zeros((len(x), target.shape[2] - 1, rows.shape[2]))
    left = np.ones(len(x), np.bool_)
    for _ in range(iterations):
        in_time()
        if not left.any():
            break
        at[left], solved = _stepped(problems.at(left), at[left])
        left[left] = ~solved
    found = problems.plane @ at
    return found if back is None else np.concatenate([found[..., :-1] @ back, found[..., -1:]], 2)


def _stepped(problems: _Problems, at: Array) -> tuple[Array, NDArray[np.bool_]]:
    """One step of every problem, halved until it keeps its promise; whether it was the last one."""
    value, chance = problems.loss(at)
    step, promised = problems.step(at, chance)
    length = np.ones(len(at))
    for _ in range(HALVINGS):
        new, _ = problems.loss(at + length[:, None, None] * step)
        broken = ~(new <= value - SLOPE * length * promised + NOISE * (1 + np.abs(value)))
        if not broken.any():
            break
        length[broken] /= 2
    return at + length[:, None, None] * step, promised < SOLVED


def _plane(classes: int) -> Array:
    """[classes, classes - 1]: orthonormal columns that sum to 0."""
    return np.linalg.qr(np.eye(classes)[:, :-1] - 1 / classes)[0]


def _span(x: Array, share: Array) -> tuple[Array, Array]:
    """The rows in coordinates of their span, [problems, rows, rows], and its directions, [..., rows, width].

    From the eigenvectors of their weighted products, in which a row of share 0 has no place.
    """
    root = np.sqrt(share)[..., None]
    size, turned = np.linalg.eigh((x @ np.swapaxes(x, 1, 2)) * root * np.swapaxes(root, 1, 2))
    length = np.sqrt(np.where(size > NONE * size[:, -1:], size, 0.0))[:, None]
    inverse = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    inside = np.divide(turned * length, root, out=np.zeros_like(turned), where=root > 0)
    return inside, np.swapaxes(turned * inverse * root, 1, 2) @ x
