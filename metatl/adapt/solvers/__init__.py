"""Solvers: an output layer on fixed features, found without descending on the net."""

from metatl.adapt.solvers.logistic import LogisticRegression
from metatl.adapt.solvers.nearest_centroid import Centroids, NearestCentroid
from metatl.adapt.solvers.ridge import RidgeRegression
from metatl.adapt.solvers.solver import Linear, Solver

__all__ = ["Centroids", "Linear", "LogisticRegression", "NearestCentroid", "RidgeRegression", "Solver"]
