"""Data sets: sources that a config names, device-resident banks, pure samplers of episodes."""

from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.glyphs import Glyphs
from metatl.data.source import SPLITS, Data, Source, Tasks

__all__ = ["SPLITS", "Bank", "ClassData", "Data", "Glyphs", "Source", "Tasks"]
