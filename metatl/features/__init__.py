"""Sources whose rows are what a frozen net makes of somebody's own."""

from typing import TYPE_CHECKING

from metatl.front_door import door

if TYPE_CHECKING:
    from metatl.features.group_features import GroupFeatures

__all__ = ["GroupFeatures"]

__getattr__, __dir__ = door(__name__, {"group_features": "GroupFeatures"})
