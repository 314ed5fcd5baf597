"""Density ratios p_T(x) / p_S(x) at the rows of S, from rows of both, and what weights are worth."""

from metatl.density_ratio.by_classifier import DomainClassifier
from metatl.density_ratio.kliep import KLIEP
from metatl.density_ratio.kmm import KMM
from metatl.density_ratio.ratio import DensityRatio, effective_size
from metatl.density_ratio.ulsif import ULSIF

__all__ = ["KLIEP", "KMM", "ULSIF", "DensityRatio", "DomainClassifier", "effective_size"]
