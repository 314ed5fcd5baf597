"""Adaptation: the inner loop, written once, for meta-training, scouting, evaluation and personalisation.

    theta <- theta + guide * rule(grad objective)

Everything here is a pure function of one task; engines run many tasks at once by mapping over it.
"""

from metatl.adapt.adaptation import Adaptation, Fitted
from metatl.adapt.closed_form import ClosedForm
from metatl.adapt.descend import Guided, Piece, Point, descend, guide_at
from metatl.adapt.descent import Descent, Inner, SupportGuide
from metatl.adapt.moved import displacement, displacement_and_memory
from metatl.adapt.prediction import predict, predict_with
from metatl.adapt.query import query_loss, score
from metatl.adapt.solvers import LogisticRegression, NearestCentroid, RidgeRegression, Solver

__all__ = [
    "Adaptation",
    "ClosedForm",
    "Descent",
    "Fitted",
    "Guided",
    "Inner",
    "LogisticRegression",
    "NearestCentroid",
    "Piece",
    "Point",
    "RidgeRegression",
    "Solver",
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
