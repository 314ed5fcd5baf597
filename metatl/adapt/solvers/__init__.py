"""Solvers: an output layer on fixed features, found without descending on the net."""

from metatl.adapt.solvers.bayesian_last_layer import BayesianLastLayer
from metatl.adapt.solvers.bayesian_linear import BayesianLinear
from metatl.adapt.solvers.cosine import CosineClassifier, Cosines
from metatl.adapt.solvers.gaussian_classes import ClassPosterior, GaussianClasses
from metatl.adapt.solvers.gaussian_process import GaussianProcess
from metatl.adapt.solvers.generalised_linear import GeneralisedLinear
from metatl.adapt.solvers.linear_discriminant import LinearDiscriminant
from metatl.adapt.solvers.logistic import LogisticRegression
from metatl.adapt.solvers.matrix_normal import Posterior
from metatl.adapt.solvers.nearest_centroid import Centroids, NearestCentroid
from metatl.adapt.solvers.process import Process
from metatl.adapt.solvers.quadratic_discriminant import Gaussians, QuadraticDiscriminant
from metatl.adapt.solvers.ridge import RidgeRegression
from metatl.adapt.solvers.soft_neighbours import Neighbours, SoftNeighbours
from metatl.adapt.solvers.solver import Linear, Solver
from metatl.adapt.solvers.unit_logistic import UnitLogistic

__all__ = [
    "BayesianLastLayer",
    "BayesianLinear",
    "Centroids",
    "ClassPosterior",
    "CosineClassifier",
    "Cosines",
    "GaussianClasses",
    "GaussianProcess",
    "Gaussians",
    "GeneralisedLinear",
    "Linear",
    "LinearDiscriminant",
    "LogisticRegression",
    "NearestCentroid",
    "Neighbours",
    "Posterior",
    "Process",
    "QuadraticDiscriminant",
    "RidgeRegression",
    "SoftNeighbours",
    "Solver",
    "UnitLogistic",
]
