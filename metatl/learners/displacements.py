"""What scouts leave behind, group by group on disk, and what of it is carried."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from metatl import processes, tree
from metatl.data.cache import cache_dir
from metatl.data.kept_rows import KeptRows
from metatl.learners.directions import as_memory, named, spread
from metatl.types import Params


@dataclass(frozen=True)
class Displacements:
    """Displacements of named weights, a row a scout.

    folder: where they lie; metatl's cache folder for None; like: the weights that are displaced.
    """

    folder: str | None
    like: Params

    def of_group(self, key: bytes, learn: Callable[[], Params]) -> Params:
        """Those of one group, [scouts, ...] each: learned where they do not lie there yet."""
        found = self._rows.made(
            key,
            lambda: torch.cat([*map(tree.lines, learn().values())], 1),
            _everywhere(self._rows.holds(key)),
        )
        return named(found.to(tree.first(self.like).device), self.like)

    def memory(self, keys: Tensor, left_out: Tensor, k: int) -> Params:
        """`<role>.<weight>` of their mean, k directions and variance (see `Spread`); keys: of groups [n]."""
        groups = [bytes(row) for row in keys.tolist()]
        good = torch.ones(self._rows.count(groups), dtype=torch.bool)
        good[left_out.cpu()] = False
        if not bool(good.any()):
            return {}
        return as_memory(spread(lambda: self._rows.columns(groups), good, k), self.like)

    @property
    def _rows(self) -> KeptRows:
        return KeptRows(Path(self.folder) if self.folder else cache_dir() / "scouts")


def _everywhere(here: bool) -> bool:
    """Whether all processes of a job say so: they learn a group together or not at all."""
    count = processes.summed(torch.tensor(int(here)))
    return int(count) == processes.world()
