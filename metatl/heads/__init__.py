"""Heads: how a task's output layer starts."""

from metatl.heads.from_names import FromNames
from metatl.heads.head import Head
from metatl.heads.learned import Learned
from metatl.heads.prototypes import Prototypes
from metatl.heads.ridge import Ridge
from metatl.heads.zeros import Zeros

__all__ = ["FromNames", "Head", "Learned", "Prototypes", "Ridge", "Zeros"]
