"""Data sets: sources that a config names, device-resident banks, pure samplers of episodes."""

from typing import TYPE_CHECKING

from metatl.front_door import door

if TYPE_CHECKING:
    from metatl.data.arrays import Arrays, ImageFolder
    from metatl.data.bank import Bank
    from metatl.data.bridge import Bridge
    from metatl.data.class_data import ClassData
    from metatl.data.clustered import Clustered
    from metatl.data.cut_across import CutAcross
    from metatl.data.domain_data import DomainData
    from metatl.data.domains import Domains
    from metatl.data.fewer import Fewer, FewerData
    from metatl.data.glyphs import Glyphs
    from metatl.data.group_arrays import GroupArrays
    from metatl.data.group_data import GroupData
    from metatl.data.linear_functions import LinearFunctions, LinearFunctionsData
    from metatl.data.masked import Masked
    from metatl.data.mixed_up import MixedUp
    from metatl.data.mnist import Mnist
    from metatl.data.omniglot import Omniglot
    from metatl.data.patch_mix import PatchMix
    from metatl.data.patterns import Patterns, PatternsData
    from metatl.data.random_projections import RandomProjections, RandomProjectionsData
    from metatl.data.sentences import Sentences
    from metatl.data.several_targets import SeveralTargets
    from metatl.data.several_targets_data import SeveralTargetsData
    from metatl.data.shapes import Tasks
    from metatl.data.shots import AsTheyCome, MetaDataset, Shots
    from metatl.data.sinusoid import Sinusoid, SinusoidData
    from metatl.data.small_tables import SmallTables, SmallTablesData
    from metatl.data.source import SPLITS, Data, Source
    from metatl.data.streams import Domain, LabelledRows, Stream, Unlabelled
    from metatl.data.tables.source import Table
    from metatl.data.taskset_data import TasksetData
    from metatl.data.tasksets import Taskset

__all__ = [
    "SPLITS",
    "Arrays",
    "AsTheyCome",
    "Bank",
    "Bridge",
    "ClassData",
    "Clustered",
    "CutAcross",
    "Data",
    "Domain",
    "DomainData",
    "Domains",
    "Fewer",
    "FewerData",
    "Glyphs",
    "GroupArrays",
    "GroupData",
    "ImageFolder",
    "LabelledRows",
    "LinearFunctions",
    "LinearFunctionsData",
    "Masked",
    "MetaDataset",
    "MixedUp",
    "Mnist",
    "Omniglot",
    "PatchMix",
    "Patterns",
    "PatternsData",
    "RandomProjections",
    "RandomProjectionsData",
    "Sentences",
    "SeveralTargets",
    "SeveralTargetsData",
    "Shots",
    "Sinusoid",
    "SinusoidData",
    "SmallTables",
    "SmallTablesData",
    "Source",
    "Stream",
    "Table",
    "Tasks",
    "Taskset",
    "TasksetData",
    "Unlabelled",
]

__getattr__, __dir__ = door(
    __name__,
    {
        "arrays": "Arrays ImageFolder",
        "bank": "Bank",
        "class_data": "ClassData",
        "clustered": "Clustered",
        "domain_data": "DomainData",
        "domains": "Domains",
        "bridge": "Bridge",
        "cut_across": "CutAcross",
        "mixed_up": "MixedUp",
        "fewer": "Fewer FewerData",
        "glyphs": "Glyphs",
        "group_arrays": "GroupArrays",
        "group_data": "GroupData",
        "linear_functions": "LinearFunctions LinearFunctionsData",
        "masked": "Masked",
        "mnist": "Mnist",
        "omniglot": "Omniglot",
        "patch_mix": "PatchMix",
        "patterns": "Patterns PatternsData",
        "random_projections": "RandomProjections RandomProjectionsData",
        "sentences": "Sentences",
        "several_targets": "SeveralTargets",
        "several_targets_data": "SeveralTargetsData",
        "sinusoid": "Sinusoid SinusoidData",
        "shapes": "Tasks",
        "shots": "AsTheyCome MetaDataset Shots",
        "small_tables": "SmallTables SmallTablesData",
        "source": "SPLITS Data Source",
        "streams": "Domain LabelledRows Stream Unlabelled",
        "tables.source": "Table",
        "taskset_data": "TasksetData",
        "tasksets": "Taskset",
    },
)
