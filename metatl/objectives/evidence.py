"""The evidence of a task's targets under a model with a prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from metatl.objectives.predictive import Predictive
from metatl.objectives.term import Anchor, Term
from metatl.types import Batch, MetatlError, Params


@dataclass(frozen=True)
class Evidence(Term):
    """-log p(targets of support and query together) / query rows: what deep kernel transfer learns by.

    Source: Patacchiola et al. 2020, arXiv 1910.05199.
    """

    def __call__(self, params: Params, output: Any, batch: Batch, anchor: Anchor) -> Tensor:
        """The loss; raises MetatlError for outputs of a model without evidence."""
        if not isinstance(output, Predictive) or output.evidence is None:
            raise MetatlError(
                "Evidence: this way has no evidence; learn through ClosedForm with GaussianProcess"
            )
        return (-output.evidence / len(output.mean)).to(output.mean.dtype)
