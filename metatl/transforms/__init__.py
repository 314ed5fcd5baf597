"""Transforms: a net and what it carries to another net and what that carries."""

from metatl.transforms.adapters import Adapters
from metatl.transforms.dora import DoRA
from metatl.transforms.from_peft import FromPeft
from metatl.transforms.ia3 import IA3
from metatl.transforms.lora import LoRA
from metatl.transforms.mean_step import MeanStep
from metatl.transforms.parallel_adapters import ParallelAdapters
from metatl.transforms.quantised import Quantised
from metatl.transforms.series_adapters import SeriesAdapters
from metatl.transforms.subspace import Subspace
from metatl.transforms.told import told
from metatl.transforms.transform import Transform, outlined, transformed

__all__ = [
    "IA3",
    "Adapters",
    "DoRA",
    "FromPeft",
    "LoRA",
    "MeanStep",
    "ParallelAdapters",
    "Quantised",
    "SeriesAdapters",
    "Subspace",
    "Transform",
    "outlined",
    "told",
    "transformed",
]
