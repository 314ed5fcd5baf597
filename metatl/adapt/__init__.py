"""Adaptation: the inner loop, written once, for meta-training, scouting, evaluation and personalisation.

    theta <- theta + guide * rule(grad objective)

Everything here is a pure function of one task; engines run many tasks at once by mapping over it.
"""

from metatl.adapt.adaptation import Adaptation, Fitted
from metatl.adapt.descend import Guided, Piece, Point, descend, guide_at
from metatl.adapt.descent import Descent, Inner, SupportGuide
from metatl.adapt.moved import displacement, displacement_and_memory
from metatl.adapt.prediction import predict, predict_with
from metatl.adapt.query import query_loss, score

__all__ = [
    "Adaptation",
    "Descent",
    "Fitted",
    "Guided",
    "Inner",
    "Piece",
    "Point",
    "SupportGuide",
    "descend",
    "displacement",
    "displacement_and_memory",
    "guide_at",
    "predict",
    "predict_with",
    "query_loss",
    "score",
]
