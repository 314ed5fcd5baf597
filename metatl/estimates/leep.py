"""LEEP and NCE: what the source's own classes tell of the target's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from metatl.estimates.estimate import Pair, TransferabilityEstimate, Values, checked, one_hot
from metatl.types import MetatlError


def leep(said: Any, y: Any) -> float:
    """mean_i log sum_z P(y_i | z) p_z(x_i), with P(y, z) = mean_i [y_i = y] p_z(x_i); at most 0.

    said [n, z]: probabilities of the source's classes; y [n] classes. A source class without mass counts
    nothing. Source: Nguyen et al. 2020, arXiv 2002.12462.
    """
    p, labels = checked(said, y)
    if (p < 0).any() or not np.allclose(p.sum(1), 1.0, atol=1e-4):
        raise MetatlError("LEEP: the rows are no probabilities; give the source's softmax, [n, classes]")
    hot = one_hot(labels)
    joint = hot.T @ p / len(p)
    mass = joint.sum(0)
    given = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
    return float(np.log((hot * (p @ given.T)).sum(1)).mean())


def nce(said: Any, y: Any) -> float:
    """-H(Y | Z) = sum_yz P(y, z) log P(y | z), with z the source's likeliest class; at most 0.

    said [n, z]: probabilities or logits; y [n] classes. It is LEEP of the one-hot rows. Source: Tran et al.
    2019, arXiv 1908.08142.
    """
    p, labels = checked(said, y)
    return leep((p.argmax(1)[:, None] == np.arange(p.shape[1])).astype(np.float64), labels)


def _said(pair: Pair) -> Values:
    assert pair.said is not None  # which `fits` says
    return pair.said


class _OfSourceClasses(TransferabilityEstimate):
    """Of classes on both sides."""

    def fits(self, pair: Pair) -> bool:
        """Where both tasks have classes."""
        return pair.classes and pair.said is not None


@dataclass(frozen=True)
class LEEP(_OfSourceClasses):
    """Log-likelihood of the target's classes, told by the source's softmax alone.

    Source: Nguyen et al. 2020, arXiv 2002.12462.
    """

    name: ClassVar[str] = "LEEP"

    def __call__(self, pair: Pair) -> float:
        """`leep`."""
        return leep(_said(pair), pair.y)


@dataclass(frozen=True)
class NCE(_OfSourceClasses):
    """Minus the conditional entropy of the target's classes, given the source's likeliest class.

    Source: Tran et al. 2019, arXiv 1908.08142.
    """

    name: ClassVar[str] = "NCE"

    def __call__(self, pair: Pair) -> float:
        """`nce`."""
        return nce(_said(pair), pair.y)
