"""Task2Vec: tasks as diagonals of a probe's Fisher information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from metatl.estimates.estimate import Pair, TransferabilityEstimate, Values
from metatl.types import MetatlError


def filter_fisher(x: Any, hidden: Any, head: Any, probabilities: Any | None) -> Values:
    """[h]: of each filter of a layer relu(W x + b) the mean over its weights of E (d log p(y | x) / d w)^2.

    x [n, d]: rows; hidden [n, h]: what the layer gives for them; head [outputs, h]: weights of the output
    layer after it; probabilities [n, outputs]: its softmax, None for real values of unit variance.
    Labels are those that the model itself expects, in closed form instead of sampled; biases do not count.
    Source: Achille et al. 2019, arXiv 1902.03545.
    """
    rows, active, v = (np.asarray(one, np.float64) for one in (x, hidden, head))
    size = (rows**2).mean(1)
    if probabilities is None:
        back = np.broadcast_to((v**2).sum(0), active.shape)
    else:
        p = np.asarray(probabilities, np.float64)
        back = p @ v**2 - (p @ v) ** 2  # sum_c p_c (v_c - sum p v)^2
    return ((active > 0) * back * size[:, None]).mean(0)


def task2vec_distance(one: Any, other: Any) -> float:
    """Cosine distance of a / (a + b) and b / (a + b), in 0 .. 1; a, b [h] Fisher information, 0 or more.

    Symmetric, 0 for tasks alike, the same in any unit that both share. Source: Achille et al. 2019.
    """
    a, b = (np.asarray(values, np.float64) for values in (one, other))
    if a.shape != b.shape or (a < 0).any() or (b < 0).any():
        raise MetatlError("Task2Vec: give two vectors of one length, without negative entries")
    both = a + b + 1e-8 * max(float((a + b).max(initial=0.0)), 1e-300)
    u, v = a / both, b / both
    size = float(np.sqrt(u @ u * (v @ v)))
    return 1.0 - float(u @ v) / size if size > 0 else 0.0


@dataclass(frozen=True)
class Task2Vec(TransferabilityEstimate):
    """Minus the distance of two tasks' Fisher information in one probe; it reads no features of the source.

    Source: Achille et al. 2019, arXiv 1902.03545.
    """

    name: ClassVar[str] = "Task2Vec"

    def fits(self, pair: Pair) -> bool:
        """Where both tasks were probed."""
        return pair.fishers is not None

    def __call__(self, pair: Pair) -> float:
        """-`task2vec_distance`."""
        assert pair.fishers is not None  # which `fits` says
        return -task2vec_distance(*pair.fishers)
