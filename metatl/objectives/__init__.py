"""Terms of objectives: the task's loss, losses by name, anchors, penalties."""

from metatl.objectives.binary_cross_entropy import BinaryCrossEntropy
from metatl.objectives.cross_entropy import CrossEntropy
from metatl.objectives.dann import DANN
from metatl.objectives.distillation import Distillation
from metatl.objectives.ewc import EWC
from metatl.objectives.focal import Focal
from metatl.objectives.huber import Huber
from metatl.objectives.kl_anchor import KLAnchor
from metatl.objectives.one_hot import OneHot
from metatl.objectives.own import Own
from metatl.objectives.penalties import L2, L2SP
from metatl.objectives.poisson import Poisson
from metatl.objectives.quantile import Quantile, coverage, quantiles
from metatl.objectives.reconstruction import Reconstruction
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, Seen, Term

__all__ = [
    "DANN",
    "EWC",
    "L2",
    "L2SP",
    "Anchor",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Distillation",
    "Focal",
    "Huber",
    "KLAnchor",
    "OneHot",
    "Own",
    "Poisson",
    "Quantile",
    "Reconstruction",
    "Seen",
    "TaskLoss",
    "Term",
    "coverage",
    "quantiles",
]
