"""Comparing methods honestly: paired statistics, and rows of reports on the same episodes."""

from metatl.evaluation.compare.rows import INTERVAL, SAME, Row, Scored, differences, plain, protocol, rows
from metatl.evaluation.compare.statistics import Difference, harmed, holm, paired, t_two_sided, worst_decile

__all__ = [
    "INTERVAL",
    "SAME",
    "Difference",
    "Row",
    "Scored",
    "differences",
    "harmed",
    "holm",
    "paired",
    "plain",
    "protocol",
    "rows",
    "t_two_sided",
    "worst_decile",
]
