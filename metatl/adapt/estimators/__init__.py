"""Fitted estimators as plain arrays and JSON: frozen to be saved, thawed without what fitted them."""

from metatl.adapt.estimators.forest import Forest
from metatl.adapt.estimators.freezing import frozen, is_frozen_kind, thawed
from metatl.adapt.estimators.packing import pack, unpack

__all__ = ["Forest", "frozen", "is_frozen_kind", "pack", "thawed", "unpack"]
