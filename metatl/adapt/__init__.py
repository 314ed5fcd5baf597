"""Adaptation: the inner loop, written once, for meta-training, scouting, evaluation and personalisation.

    theta <- theta + guide * rule(grad objective)

Everything here is a pure function of one task; engines run many tasks at once by mapping over it.
"""

from metatl.adapt.across_domains import AcrossDomains
from metatl.adapt.adaptation import Adaptation, Fitted
from metatl.adapt.around import Around
from metatl.adapt.closed_form import ClosedForm
from metatl.adapt.continued import Continued
from metatl.adapt.continued_boosting import ContinuedBoosting
from metatl.adapt.covering import check_finite, check_guide, moving_names
from metatl.adapt.descend import Guided, Point, descend, guide_at
from metatl.adapt.descent import Descent
from metatl.adapt.ensemble import Ensemble
from metatl.adapt.estimator import Estimator
from metatl.adapt.head_net import head_net
from metatl.adapt.in_context import InContext
from metatl.adapt.inner import Inner, Piece, check_mixing, check_whole, pieces_of
from metatl.adapt.laplace import Laplace
from metatl.adapt.moved import displacement, displacement_and_memory
from metatl.adapt.neighbours import NearestNeighbours
from metatl.adapt.prediction import alike, check_outputs, predict, predict_with, too_large
from metatl.adapt.prior_fitted import PriorFitted
from metatl.adapt.query import QueryLoss, check_outer, outer, query_loss
from metatl.adapt.scoring import score
from metatl.adapt.solvers import (
    BayesianLastLayer,
    BayesianLinear,
    CosineClassifier,
    GaussianClasses,
    GaussianProcess,
    GeneralisedLinear,
    LinearDiscriminant,
    LogisticRegression,
    NearestCentroid,
    QuadraticDiscriminant,
    RidgeRegression,
    SoftNeighbours,
    Solver,
    UnitLogistic,
)
from metatl.adapt.stopping import EarlyStopping
from metatl.adapt.support import in_rounds
from metatl.adapt.support_guide import Outputs, SupportGuide, gradients
from metatl.adapt.tabpfn import TabPFN
from metatl.adapt.tempered import Tempered
from metatl.adapt.tradaboost import TrAdaBoost
from metatl.adapt.tree_transfer import TreeTransfer
from metatl.adapt.two_stage import TwoStageTrAdaBoost

__all__ = [
    "AcrossDomains",
    "Adaptation",
    "Around",
    "BayesianLastLayer",
    "BayesianLinear",
    "ClosedForm",
    "Continued",
    "ContinuedBoosting",
    "CosineClassifier",
    "Descent",
    "EarlyStopping",
    "Ensemble",
    "Estimator",
    "Fitted",
    "GaussianClasses",
    "GaussianProcess",
    "GeneralisedLinear",
    "Guided",
    "InContext",
    "Inner",
    "Laplace",
    "LinearDiscriminant",
    "LogisticRegression",
    "NearestCentroid",
    "NearestNeighbours",
    "Outputs",
    "Piece",
    "Point",
    "PriorFitted",
    "QuadraticDiscriminant",
    "QueryLoss",
    "RidgeRegression",
    "SoftNeighbours",
    "Solver",
    "SupportGuide",
    "TabPFN",
    "Tempered",
    "TrAdaBoost",
    "TreeTransfer",
    "TwoStageTrAdaBoost",
    "UnitLogistic",
    "alike",
    "check_finite",
    "check_guide",
    "check_mixing",
    "check_outer",
    "check_outputs",
    "check_whole",
    "descend",
    "displacement",
    "displacement_and_memory",
    "gradients",
    "guide_at",
    "head_net",
    "in_rounds",
    "moving_names",
    "outer",
    "pieces_of",
    "predict",
    "predict_with",
    "query_loss",
    "score",
    "too_large",
]
