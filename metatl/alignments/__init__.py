"""Alignments: rows of a source made rows that a target can be learned from, of unlike inputs too."""

from metatl.alignments.alignment import Alignment, TwoDomains
from metatl.alignments.as_it_is import AsItIs
from metatl.alignments.coral import CORAL
from metatl.alignments.easy_adapt import EasyAdapt
from metatl.alignments.latent_space import LatentSpace
from metatl.alignments.manifold import ManifoldAlignment
from metatl.alignments.paired_rows import CanonicalCorrelations
from metatl.alignments.pooled import Pooled
from metatl.alignments.reweighted import Reweighted
from metatl.alignments.subspace import SubspaceAlignment
from metatl.alignments.transfer_components import TransferComponents

__all__ = [
    "CORAL",
    "Alignment",
    "AsItIs",
    "CanonicalCorrelations",
    "EasyAdapt",
    "LatentSpace",
    "ManifoldAlignment",
    "Pooled",
    "Reweighted",
    "SubspaceAlignment",
    "TransferComponents",
    "TwoDomains",
]
