"""What boosting across domains shares: rows of both, a learner, rounds of which any number may be used."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.head_net import head_net
from metatl.types import Batch


def rate_of_source(rows: int, rounds: int) -> float:
    """beta = 1 / (1 + sqrt(2 ln n / N)): what a wrong source row's weight is multiplied by."""
    return 1 / (1 + (2 * torch.log(torch.tensor(float(max(rows, 2)))) / rounds).sqrt().item())


def hypothesis(base: Adaptation, rows: Batch, weight: Tensor, outputs: int, key: int) -> Any:
    """The learner fitted to rows weighted by weight [n], which is brought to mean 1."""
    weight = (weight / weight.sum() * len(weight)).to(rows.x.dtype)
    return base.fit(*head_net(rows.x.shape[1], outputs), rows._replace(weight=weight), key)


def said(base: Adaptation, fitted: Any, x: Tensor, y: Tensor, outputs: int) -> Tensor:
    """Its outputs [n, outputs] for rows x; y: targets of the same type as those that were fitted."""
    return base.predict(*head_net(x.shape[1], outputs), fitted, Batch(x[:0], y[:0]), x)


def filled(rounds: list[Any], votes: list[float], count: int) -> dict[str, Any]:
    """Rounds and their votes; those that were not run repeat the last one, with the vote 0."""
    left = count - len(rounds)
    vote = torch.tensor(votes + [0.0] * left, dtype=torch.float64)
    return {"rounds": tuple(rounds + [rounds[-1]] * left), "votes": vote}
