"""Comparing methods honestly: paired statistics, and rows of reports on the same episodes."""

from metatl.evaluation.compare.groups import by_group
from metatl.evaluation.compare.rows import SAME, Row, Scored, differences, plain, protocol, rows
from metatl.evaluation.statistics import Estimate, estimate, harmed, holm, paired, shown, worst_decile

__all__ = [
    "SAME",
    "Estimate",
    "Row",
    "Scored",
    "by_group",
    "differences",
    "estimate",
    "harmed",
    "holm",
    "paired",
    "plain",
    "protocol",
    "rows",
    "shown",
    "worst_decile",
]
