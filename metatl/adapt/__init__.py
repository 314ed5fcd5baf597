"""Adaptation: the inner loop, written once, for meta-training, scouting, evaluation and personalisation.

    theta <- theta + guide * rule(grad objective)

Everything here is a pure function of one task; engines run many tasks at once by mapping over it.
"""

from metatl.adapt.adaptation import Adaptation, Inner, SupportGuide, displacement
from metatl.adapt.descend import Guided, Piece, Point, descend, guide_at
from metatl.adapt.query import predict, predict_with, query_loss, score

__all__ = [
    "Adaptation",
    "Guided",
    "Inner",
    "Piece",
    "Point",
    "SupportGuide",
    "descend",
    "displacement",
    "guide_at",
    "predict",
    "predict_with",
    "query_loss",
    "score",
]
