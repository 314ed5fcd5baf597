"""Engines: how the tasks of a meta-batch are run."""

from metatl.engines.auto import Auto
from metatl.engines.batched import Batched
from metatl.engines.engine import Each, Engine
from metatl.engines.higher import Higher
from metatl.engines.learn2learn import Learn2Learn
from metatl.engines.loop import Loop

__all__ = ["Auto", "Batched", "Each", "Engine", "Higher", "Learn2Learn", "Loop"]
