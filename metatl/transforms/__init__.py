"""Transforms: a net and what it carries to another net and what that carries."""

from metatl.transforms.lora import LoRA
from metatl.transforms.transform import Transform, transformed

__all__ = ["LoRA", "Transform", "transformed"]
