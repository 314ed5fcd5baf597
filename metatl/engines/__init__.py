"""Engines: how the tasks of a meta-batch are run."""

from typing import TYPE_CHECKING

from metatl.front_door import door

if TYPE_CHECKING:
    from metatl.engines.auto import Auto
    from metatl.engines.batched import Batched
    from metatl.engines.engine import Each, Engine
    from metatl.engines.higher import Higher
    from metatl.engines.learn2learn import Learn2Learn
    from metatl.engines.loop import Loop

__all__ = ["Auto", "Batched", "Each", "Engine", "Higher", "Learn2Learn", "Loop"]

__getattr__, __dir__ = door(
    __name__,
    {
        "auto": "Auto",
        "batched": "Batched",
        "engine": "Each Engine",
        "higher": "Higher",
        "learn2learn": "Learn2Learn",
        "loop": "Loop",
    },
)
