"""Several fits to one task, averaged."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from metatl.adapt.around import Around
from metatl.adapt.bootstrap import bootstrapped
from metatl.adapt.support import check_some
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer


class Members(NamedTuple):
    """kind: 0 for real values, 1 for classes, 2 for several labels, 0-d; fits: what every member fitted."""

    kind: Tensor
    fits: tuple[Any, ...]


@dataclass(frozen=True)
class Ensemble(Around):
    """M fits of the inner adaptation: log of the mean of their probabilities, or the mean of real values.

    Each has a key of its own (fresh weights and mini-batches that are drawn differ by it) and, where
    `reweighted`, row weights drawn from n Dirichlet(1, ..., 1): Rubin's Bayesian bootstrap (1981), which
    leaves no class without a row. The spread of real values is the members' mean one and the variance between
    them. Source: Lakshminarayanan et al. 2017, arXiv 1612.01474 (members from fresh weights, not reweighted).

    Args:
        adaptation: the inner one; reweighted members need one that respects row weights.
        members: M.
        reweighted: whether members see the support rows under weights of their own.
    """

    members: int = 5
    reweighted: bool = True

    def __post_init__(self) -> None:
        """Refuse an ensemble of none."""
        if self.members < 1:
            raise MetatlError("Ensemble: members must be at least 1")

    @property
    def order_free(self) -> bool:
        """Not where weights are drawn row by row."""
        return self.adaptation.order_free and not self.reweighted

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Members:
        """What every member fitted."""
        y = support.y
        if not isinstance(y, Tensor):
            raise MetatlError("Ensemble fits one target; give y as one tensor")
        if self.needs_labels:
            check_some(support)
        kind = 0 if y.is_floating_point() else 2 if y.dtype == torch.bool else 1
        each = range(self.members)
        seen = [bootstrapped(support, key, i) if self.reweighted else support for i in each]
        first = self.members * key
        fits = tuple(self.adaptation.fit(net, transfer, seen[i], first + i) for i in each)
        return Members(torch.tensor(kind, device=y.device), fits)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Outputs [n, outputs]; of classes logarithms of probabilities."""
        said = [self.adaptation.predict(net, transfer, one, support, x) for one in fitted.fits]
        outputs, kind = torch.stack(said), fitted.kind
        classes = outputs.log_softmax(-1).logsumexp(0) - math.log(self.members)
        yes, no = (logsigmoid(sign * outputs).logsumexp(0) for sign in (1, -1))
        return torch.where(kind == 0, outputs.mean(0), torch.where(kind == 1, classes, yes - no))

    def adapted(self, net: Net, transfer: Transfer, fitted: Any) -> Transfer:
        """What is carried, where no member moves it; MetatlError where each has weights of its own."""
        found = [self.adaptation.adapted(net, transfer, one) for one in fitted.fits]
        if len(found) > 1 and any(one is not transfer for one in found):
            raise MetatlError(f"an ensemble has the weights of {len(found)} members, and no single ones")
        return found[0]

    def spread(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Variance [n, outputs] of a real target: within the members, and between them."""
        rows = [(net, transfer, one, support, x) for one in fitted.fits]
        means = torch.stack([self.adaptation.predict(*row) for row in rows])
        within = torch.stack([self.adaptation.spread(*row) for row in rows]).mean(0)
        return within + means.var(0, correction=0)
