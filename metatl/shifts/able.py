"""Which rows of `metatl transfer` can act on rows like those that were compared."""

from __future__ import annotations

from metatl.models import MLP
from metatl.net import Net
from metatl.transferring.learnable import HIDDEN
from metatl.transferring.row import Row
from metatl.transferring.rows import rows
from metatl.types import MetatlError


def able(columns: bool) -> dict[str, bool]:
    """Names of rows, in tables' order, and whether each serves where the target has no label.

    columns: whether what moves would be the net that is learned on a table's columns: it has no norms, say.
    """
    found = rows()
    if columns:
        net = Net.of(MLP((1,), 2, HIDDEN))
        found = {name: row for name, row in found.items() if _acts(row, net)}
    return {name: row.reads == "labels" and row.serves(0) for name, row in found.items()}


def _acts(row: Row, net: Net) -> bool:
    """Whether the row's guide finds weights in the net."""
    if row.guide is None or row.learner is not None:
        return True
    try:
        row.guide(net, net.start())
    except MetatlError:
        return False
    return True
