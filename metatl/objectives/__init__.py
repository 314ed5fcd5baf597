"""Terms of objectives: the task's loss, losses by name, anchors, penalties."""

from metatl.objectives.bar_distribution import BarDistribution
from metatl.objectives.binary_cross_entropy import BinaryCrossEntropy
from metatl.objectives.cross_entropy import CrossEntropy
from metatl.objectives.dann import DANN
from metatl.objectives.distillation import Distillation
from metatl.objectives.evidence import Evidence
from metatl.objectives.ewc import EWC
from metatl.objectives.focal import Focal
from metatl.objectives.gaussian_nll import GaussianNLL
from metatl.objectives.huber import Huber
from metatl.objectives.kl_anchor import KLAnchor
from metatl.objectives.one_hot import OneHot
from metatl.objectives.own import Own
from metatl.objectives.penalties import L2, L2SP
from metatl.objectives.poisson import Poisson
from metatl.objectives.predictive import Predictive
from metatl.objectives.reconstruction import Reconstruction
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, Seen, Term

__all__ = [
    "DANN",
    "EWC",
    "L2",
    "L2SP",
    "Anchor",
    "BarDistribution",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Distillation",
    "Evidence",
    "Focal",
    "GaussianNLL",
    "Huber",
    "KLAnchor",
    "OneHot",
    "Own",
    "Poisson",
    "Predictive",
    "Reconstruction",
    "Seen",
    "TaskLoss",
    "Term",
]
