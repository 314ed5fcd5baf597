"""Sentences without some of their words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from metatl.types import Batch, MetatlError
from metatl.views.view import View, draws


@dataclass(frozen=True)
class WordDropout(View):
    """Each token after a sentence's first hidden, or not: its mask is 0, or another token stands for it.

    Source: Iyyer et al. 2015 (deep averaging networks).

    Args:
        probability: that a token is hidden.
        token: the id that stands for a hidden token (unknown, or mask); needed where rows have no mask.
    """

    probability: float = 0.1
    token: int | None = None

    def __call__(self, key: int, batch: Batch) -> Batch:
        """The sentences, ids [n, t] or {"ids", "mask"}; targets stay. Raises MetatlError for other rows."""
        x: Any = batch.x
        ids = cast(Any, x.get("ids") if isinstance(x, dict) else x)
        if not isinstance(ids, Tensor) or ids.dim() != 2 or ids.is_floating_point():
            raise MetatlError("WordDropout is a view of sentences, token ids [n, tokens]")
        hidden = draws(key, ids, *ids.shape) < self.probability
        hidden = hidden & (torch.arange(ids.shape[1], device=ids.device) > 0)
        if self.token is not None:
            if isinstance(x, dict) and "mask" in x:
                hidden = hidden & x["mask"].bool()
            ids = torch.where(hidden, self.token, ids)
            return batch._replace(x={**x, "ids": ids} if isinstance(x, dict) else ids)
        if not isinstance(x, dict) or "mask" not in x:
            raise MetatlError("WordDropout: these rows have no mask; give the token that hides a word")
        return batch._replace(x={**x, "mask": torch.where(hidden, 0, x["mask"])})
