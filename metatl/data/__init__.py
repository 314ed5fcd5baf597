"""Data sets: sources that a config names, device-resident banks, pure samplers of episodes."""

from metatl.data.arrays import Arrays, ImageFolder
from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.glyphs import Glyphs
from metatl.data.hapt import Hapt
from metatl.data.hapt_data import HaptData
from metatl.data.mnist import Mnist
from metatl.data.omniglot import Omniglot
from metatl.data.patterns import Patterns, PatternsData
from metatl.data.sinusoid import Sinusoid, SinusoidData
from metatl.data.source import SPLITS, Data, Source, Tasks
from metatl.data.streams import Stream, Unlabelled
from metatl.data.taskset_data import TasksetData
from metatl.data.tasksets import Taskset

__all__ = [
    "SPLITS",
    "Arrays",
    "Bank",
    "ClassData",
    "Data",
    "Glyphs",
    "Hapt",
    "HaptData",
    "ImageFolder",
    "Mnist",
    "Omniglot",
    "Patterns",
    "PatternsData",
    "Sinusoid",
    "SinusoidData",
    "Source",
    "Stream",
    "Tasks",
    "Taskset",
    "TasksetData",
    "Unlabelled",
]
