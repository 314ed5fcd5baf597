"""Learners: ways of learning what is carried."""

from metatl.learners.dual_path import DualPath
from metatl.learners.episodic import Episodic
from metatl.learners.fisher_directions import FisherDirections
from metatl.learners.importance import Importance
from metatl.learners.keep import Keep
from metatl.learners.learner import Learner, State
from metatl.learners.net_across import NetAcross
from metatl.learners.path_directions import PathDirections
from metatl.learners.reptile import Reptile
from metatl.learners.scout import Scout
from metatl.learners.source_fisher import SourceFisher
from metatl.learners.source_mean import SourceMean
from metatl.learners.supervised import Supervised
from metatl.learners.until import Until

__all__ = [
    "DualPath",
    "Episodic",
    "FisherDirections",
    "Importance",
    "Keep",
    "Learner",
    "NetAcross",
    "PathDirections",
    "Reptile",
    "Scout",
    "SourceFisher",
    "SourceMean",
    "State",
    "Supervised",
    "Until",
]
