"""Aggregates: several losses' gradients made into one, and weights between losses."""

from metatl.aggregates.aggregate import Aggregate
from metatl.aggregates.aligned_mtl import AlignedMTL
from metatl.aggregates.cagrad import CAGrad
from metatl.aggregates.dwa import DWA
from metatl.aggregates.falling_helpers import FallingHelpers
from metatl.aggregates.grad_norm import GradNorm
from metatl.aggregates.helper_gate import HelperGate
from metatl.aggregates.imtl_g import IMTLG
from metatl.aggregates.learned_weights import IMTLL, Uncertainty
from metatl.aggregates.mean import Mean
from metatl.aggregates.mgda import MGDA
from metatl.aggregates.nash_mtl import NashMTL
from metatl.aggregates.pcgrad import PCGrad
from metatl.aggregates.random_weights import RandomWeights
from metatl.aggregates.upgrad import UPGrad
from metatl.aggregates.weighted import Weighted

__all__ = [
    "DWA",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "Aggregate",
    "AlignedMTL",
    "CAGrad",
    "FallingHelpers",
    "GradNorm",
    "HelperGate",
    "Mean",
    "NashMTL",
    "PCGrad",
    "RandomWeights",
    "UPGrad",
    "Uncertainty",
    "Weighted",
]
