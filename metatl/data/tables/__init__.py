"""Tables: read from whatever holds them, divided into targets and columns, encoded as numbers."""

from metatl.data.tables.columns import Columns
from metatl.data.tables.encoder import Encoder
from metatl.data.tables.reading import read_table
from metatl.data.tables.target import target

__all__ = ["Columns", "Encoder", "read_table", "target"]
