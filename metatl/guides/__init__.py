"""Guides: one scale per weight for its update."""

from metatl.guides.by_name import ByName
from metatl.guides.controls import Constant, LayerMean, Permuted
from metatl.guides.depth_decay import DepthDecay
from metatl.guides.fisher import SupportFisher, fisher
from metatl.guides.grad_norm import RelativeGradNorm
from metatl.guides.guide import TransferGuide, layers
from metatl.guides.last_blocks import LastBlocks
from metatl.guides.leading import Leading
from metatl.guides.masks import MagnitudeMask, RandomMask
from metatl.guides.norms import Norms
from metatl.guides.ones import Ones
from metatl.guides.per_step import PerStep
from metatl.guides.power_law import PowerLaw
from metatl.guides.shape import MinMax, Shape, TopK
from metatl.guides.shaped import InTurn, Shaped
from metatl.guides.signal_to_noise import SignalToNoise
from metatl.guides.support_random import SupportRandom
from metatl.guides.surgical import Surgical
from metatl.guides.unfreeze import Unfreeze

__all__ = [
    "ByName",
    "Constant",
    "DepthDecay",
    "InTurn",
    "LastBlocks",
    "LayerMean",
    "Leading",
    "MagnitudeMask",
    "MinMax",
    "Norms",
    "Ones",
    "PerStep",
    "Permuted",
    "PowerLaw",
    "RandomMask",
    "RelativeGradNorm",
    "Shape",
    "Shaped",
    "SignalToNoise",
    "SupportFisher",
    "SupportRandom",
    "Surgical",
    "TopK",
    "TransferGuide",
    "Unfreeze",
    "fisher",
    "layers",
]
