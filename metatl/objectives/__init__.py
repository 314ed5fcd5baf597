"""Terms of objectives: the task's loss, anchors, penalties."""

from metatl.objectives.dann import DANN
from metatl.objectives.kl_anchor import KLAnchor
from metatl.objectives.one_hot import OneHot
from metatl.objectives.penalties import L2, L2SP
from metatl.objectives.task_loss import TaskLoss
from metatl.objectives.term import Anchor, Seen, Term

__all__ = ["DANN", "L2", "L2SP", "Anchor", "KLAnchor", "OneHot", "Seen", "TaskLoss", "Term"]
