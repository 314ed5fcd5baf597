"""Does P(Y) differ? With labels on both sides, and estimated without the target's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metatl.shifts.classifier import bent, divided, probabilities
from metatl.shifts.tested import PERMUTATIONS, Labels, Rows, Tested, permuted


def counts_differ(
    name: str, source: Labels, target: Labels, classes: int, draw: np.random.Generator
) -> Tested:
    """Pearson's chi-squared of classes by domain, against divisions of the same rows (exact for few rows).

    effect: total variation, half of sum |P_S(y) - P_T(y)|.
    """
    theirs, ours = (np.bincount(y, minlength=classes) for y in (source, target))
    total = theirs + ours
    drawn = draw.multivariate_hypergeometric(total, int(ours.sum()), size=PERMUTATIONS)
    p = permuted(float(_chi_squared(ours[None], total)[0]), _chi_squared(drawn, total))
    effect = 0.5 * float(np.abs(theirs / theirs.sum() - ours / ours.sum()).sum())
    return Tested(name, "P(Y)", p, effect, "total variation, 0 alike", (len(source), len(target)))


def _chi_squared(ours: Labels, total: Labels) -> Rows:
    """[b] of the target's counts [b, classes]; the source has the rest."""
    there = total > 0
    share = ours.sum(1, keepdims=True) / total.sum()
    meant = share * total[there]
    gap = (ours[:, there] - meant) ** 2
    return (gap / meant + gap / np.maximum(total[there] - meant, 1e-300)).sum(1)


@dataclass(frozen=True)
class LabelShift:
    """What black-box shift estimation says.

    weights: P_T(y) / P_S(y) [classes]; target: P_T(y) [classes]; condition: of the confusion matrix; source,
    predicted: classes named by the classifier, of source rows that it did not see, and of the target's.
    """

    weights: Rows
    target: Rows
    condition: float
    source: Labels
    predicted: Labels


def label_shift(confusion: Rows, named: Rows, ridge: float) -> Rows:
    """Weights w [k] = (C'C + ridge I)^-1 C' mu, below 0 set to 0 (Lipton, Wang & Smola 2018).

    confusion [k, k]: C[i, j] = P_S(class i is named, class j it is); named [k]: mu, P_T(class i is named).
    It is P_T(y) / P_S(y) where P(X given Y) is the same on both sides.
    """
    size = confusion.shape[1]
    found = np.linalg.solve(confusion.T @ confusion + ridge * np.eye(size), confusion.T @ named)
    return np.maximum(found, 0)


def estimated(source: Rows, y: Labels, classes: int, target: Rows, draw: np.random.Generator) -> LabelShift:
    """Black-box shift estimation with a classifier of one half of the source, judged on the other.

    The ridge is 1 / min(n_S, n_T), as in the authors' code; P_T(y) = w P_S(y), brought to sum 1.
    """
    both = bent(np.concatenate([source, target]), draw)
    x, ours = both[: len(source)], both[len(source) :]
    judge = divided(y, 2, draw) == 1
    named = probabilities(x[~judge], y[~judge], classes, np.concatenate([x[judge], ours])).argmax(1)
    own, predicted = named[: judge.sum()], named[judge.sum() :]
    confusion = np.zeros((classes, classes))
    np.add.at(confusion, (own, y[judge]), 1 / len(own))
    mu = np.bincount(predicted, minlength=classes) / len(predicted)
    w = label_shift(confusion, mu, 1 / min(len(own), len(predicted)))
    prior = np.bincount(y, minlength=classes) / len(y)
    mass = w * prior
    mass = mass / mass.sum() if mass.sum() > 0 else prior
    return LabelShift(w, mass, float(np.linalg.cond(confusion)), own, predicted)
