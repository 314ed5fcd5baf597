"""Aggregates: several losses' gradients made into one."""

from metatl.aggregates.aggregate import Aggregate
from metatl.aggregates.mean import Mean
from metatl.aggregates.pcgrad import PCGrad

__all__ = ["Aggregate", "Mean", "PCGrad"]
