"""Data sets: sources that a config names, device-resident banks, pure samplers of episodes."""

from metatl.data.arrays import Arrays, ImageFolder
from metatl.data.bank import Bank
from metatl.data.class_data import ClassData
from metatl.data.glyphs import Glyphs
from metatl.data.group_arrays import GroupArrays
from metatl.data.group_data import GroupData
from metatl.data.hapt import Hapt
from metatl.data.mnist import Mnist
from metatl.data.omniglot import Omniglot
from metatl.data.patterns import Patterns, PatternsData
from metatl.data.sentences import Sentences
from metatl.data.sinusoid import Sinusoid, SinusoidData
from metatl.data.source import SPLITS, Data, Source, Tasks
from metatl.data.streams import Stream, Unlabelled
from metatl.data.tables.source import Table
from metatl.data.taskset_data import TasksetData
from metatl.data.tasksets import Taskset

__all__ = [
    "SPLITS",
    "Arrays",
    "Bank",
    "ClassData",
    "Data",
    "Glyphs",
    "GroupArrays",
    "GroupData",
    "Hapt",
    "ImageFolder",
    "Mnist",
    "Omniglot",
    "Patterns",
    "PatternsData",
    "Sentences",
    "Sinusoid",
    "SinusoidData",
    "Source",
    "Stream",
    "Table",
    "Tasks",
    "Taskset",
    "TasksetData",
    "Unlabelled",
]
