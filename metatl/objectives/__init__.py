"""Terms of objectives: the task's loss, losses by name, anchors, penalties."""

from metatl.objectives.bar_distribution import BarDistribution
from metatl.objectives.binary_cross_entropy import BinaryCrossEntropy
from metatl.objectives.bridged import Bridged
from metatl.objectives.cdan import CDAN
from metatl.objectives.cross_entropy import CrossEntropy
from metatl.objectives.dann import DANN
from metatl.objectives.deep_coral import DeepCORAL
from metatl.objectives.distillation import Distillation
from metatl.objectives.entropy import Entropy
from metatl.objectives.evidence import Evidence
from metatl.objectives.ewc import EWC
from metatl.objectives.feature_matching import FeatureMatching
from metatl.objectives.fix_match import FixMatch
from metatl.objectives.focal import Focal
from metatl.objectives.gaussian_nll import GaussianNLL
from metatl.objectives.gaussian_prior import GaussianPrior
from metatl.objectives.huber import Huber
from metatl.objectives.kl_anchor import KLAnchor
from metatl.objectives.mcc import MCC
from metatl.objectives.mmd import MMD
from metatl.objectives.of_target import OfTarget
from metatl.objectives.one_hot import OneHot
from metatl.objectives.own import Own
from metatl.objectives.penalties import L2, L2SP
from metatl.objectives.poisson import Poisson
from metatl.objectives.predictive import Predictive
from metatl.objectives.pseudo_labels import PseudoLabels
from metatl.objectives.quantile import Quantile, coverage, quantiles
from metatl.objectives.reconstruction import Reconstruction
from metatl.objectives.soft_sharing import SoftSharing
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, Seen, Term

__all__ = [
    "CDAN",
    "DANN",
    "EWC",
    "L2",
    "L2SP",
    "MCC",
    "MMD",
    "Anchor",
    "BarDistribution",
    "BinaryCrossEntropy",
    "Bridged",
    "CrossEntropy",
    "DeepCORAL",
    "Distillation",
    "Entropy",
    "Evidence",
    "FeatureMatching",
    "FixMatch",
    "Focal",
    "GaussianNLL",
    "GaussianPrior",
    "Huber",
    "KLAnchor",
    "OfTarget",
    "OneHot",
    "Own",
    "Poisson",
    "Predictive",
    "PseudoLabels",
    "Quantile",
    "Reconstruction",
    "Seen",
    "SoftSharing",
    "TaskLoss",
    "Term",
    "coverage",
    "quantiles",
]
