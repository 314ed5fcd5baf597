"""Adaptation in context: the support set is an input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.reads_support import as_outputs, check_classes, check_reads
from metatl.adapt.solvers.evidence import NORMAL
from metatl.adapt.support import at_the_door
from metatl.net import Net
from metatl.norm import Rows, moments_from
from metatl.objectives.bar_distribution import BarDistribution
from metatl.types import Batch, Episode, Transfer


@dataclass(frozen=True)
class InContext(Adaptation):
    """Keeps the support set; a prediction is one pass of a net that is given support and query rows at once.

    The net's module has `forward(support_x, support_y, x)`: support_x [m, ...], support_y [m] class indices
    or [m, d] real targets, x [n, ...]; it gives the outputs [n, outputs] for x, so that nothing is learned at
    test time (neural processes, Garnelo et al. 2018, arXiv 1807.01622; prior-fitted networks, Müller et al.
    2022, arXiv 2112.10510). Where a batch has row weights, they come as `support_weight`. Predictions are
    differentiable in the weights, which is how such a net is trained: on episodes. Batch norms use their
    running moments.

    Args:
        order_matters: whether the module looks at the order of the support rows (a recurrent one, say);
            without, `metatl.testing.check_adaptation` holds it to looking away.
        queries_meet: whether the module lets query rows see each other: then it is transductive.
        bars: how a module's outputs for a real target are read: as weights of bars, whose mean is predicted.

    A net of more outputs than a task has classes answers with the first ones; one of fewer is refused.
    """

    order_matters: bool = False
    queries_meet: bool = False
    bars: BarDistribution | None = None

    reads_support: ClassVar[bool] = True

    @property
    def order_free(self) -> bool:
        """Unless said otherwise."""
        return not self.order_matters

    def transductive(self, net: Net) -> bool:
        """As `queries_meet` says."""
        return self.queries_meet

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """A net that reads support rows; no more classes than it was trained for; bars for real targets."""
        check_reads(type(net.module))
        if not real:
            check_classes(net.outputs, net.rows(transfer.params), self.bars is not None)

    def given(self, support: Batch, x: Any) -> dict[str, Any]:
        """Support and query rows, by the names of the module's arguments."""
        kept = {"support_x": support.x, "support_y": support.y, "x": x}
        return kept if support.weight is None else {**kept, "support_weight": support.weight}

    @property
    def needs_labels(self) -> bool:
        """Not: an empty support set is answered by what was learned before."""
        return False

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> dict[str, Tensor]:
        """The support set, by the names of the module's arguments: x [m, ...], y [m] or [m, d]."""
        kept = self.given(at_the_door(net, support, none=True), None)
        check_reads(type(net.module))
        return {name: rows for name, rows in kept.items() if name != "x"}

    def predict(
        self, net: Net, transfer: Transfer, fitted: dict[str, Tensor], support: Batch, x: Tensor
    ) -> Tensor:
        """Outputs [n, outputs] for the rows x, from one pass; raises MetatlError for any other shape."""
        output = self.read(self._pass(net, transfer, fitted, x), fitted["support_y"])
        return as_outputs(output, len(x), net.outputs, first=not fitted["support_y"].is_floating_point())

    def learned_output(self, net: Net, transfer: Transfer, episode: Episode) -> Tensor:
        """The module's own outputs: [n, bars] where they are weights of bars."""
        if self.bars is None:
            return self.answer(net, transfer, episode)
        return self._pass(net, transfer, self.fit(net, transfer, episode.support), episode.query.x)

    def read(self, output: Any, y: Any) -> Any:
        """The means of bars."""
        return output if self.bars is None or not y.is_floating_point() else self.bars.mean(output)

    @property
    def spreads(self) -> bool:
        """With bars."""
        return self.bars is not None

    def spread(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Tensor) -> Tensor:
        """The variance [n, 1] of the normal whose 95 % interval is as wide as the bars' middle 95 %.

        Noise included; far bars of little weight make their own variance wider. MetatlError without bars.
        """
        if self.bars is None:
            return super().spread(net, transfer, fitted, support, x)
        output = self._pass(net, transfer, fitted, x)
        low, high = (self.bars.quantile(output, share) for share in (0.025, 0.975))
        return ((high - low) / (2 * NORMAL)).square()

    def _pass(self, net: Net, transfer: Transfer, fitted: dict[str, Tensor], x: Tensor) -> Any:
        with moments_from(Rows(frozen=True)):
            return net(transfer.params, transfer.buffers, {**fitted, "x": x})
