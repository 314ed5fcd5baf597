"""Adaptation by a net that has read many random tables: labelled rows are its input."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.numberings import AskedTable, averaged, opened
from metatl.adapt.support import at_the_door
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer
from metatl.weights.shipped import shipped


@dataclass(frozen=True)
class PriorFitted(Adaptation):
    """p(y | x, labelled rows) in one pass of a net that comes with the package; nothing is fitted or moved.

    The net was trained on tasks of a prior (`data.SmallTables`), so that its pass approximates the posterior
    predictive under that prior (Müller et al. 2022, arXiv 2112.10510). It sees the inputs themselves, of at
    most as many columns and classes as it was trained for, which its card says. What it says is averaged over
    `orders` numberings of columns and classes, to which a table is indifferent and the net nearly so. Without
    a labelled row it gives the prior's answer, each class alike.

    Args:
        net: by the name of its card.
        orders: passes that are averaged.
    """

    net: str = "little-pfn"
    orders: int = 4

    def __post_init__(self) -> None:
        """Refuse an average over nothing, and a net that is not there."""
        if self.orders < 1:
            raise MetatlError(f"PriorFitted: orders is {self.orders}; give 1 or more")
        opened(self.net)  # here, since no net is made under vmap

    @property
    def order_free(self) -> bool:
        """The net has no positions."""
        return True

    @property
    def columns(self) -> int:
        """As its card says."""
        return int(shipped(self.net)[0]["columns"])

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """Targets are classes, and no more than the net was trained for."""
        classes = int(shipped(self.net)[0]["classes"])
        if real:
            raise MetatlError(f"{self.net} was trained for class labels; choose another method for numbers")
        if net.outputs > classes:
            raise MetatlError(
                f"{net.outputs} classes, and {self.net} was trained for at most {classes}; choose another "
                "method"
            )

    @property
    def needs_labels(self) -> bool:
        """Not: an empty support set is answered by what was learned before."""
        return False

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> dict[str, Tensor]:
        """The labelled rows x [m, d], y [m]; MetatlError for more columns or classes than the net knows."""
        support = at_the_door(net, support, none=True)
        y = support.y
        if not isinstance(y, Tensor) or y.is_floating_point() or y.dim() != 1:
            raise MetatlError(f"{self.net} was trained for one class label a row; choose another method")
        self.check(net, transfer, real=False)
        x = support.x.flatten(1).float()
        if x.shape[1] > self.columns:
            raise MetatlError(f"{x.shape[1]} columns, and {self.net} was trained for at most {self.columns}")
        rows = {"support_x": x, "support_y": y}
        return rows if support.weight is None else {**rows, "support_weight": support.weight}

    def predict(
        self, net: Net, transfer: Transfer, fitted: dict[str, Tensor], support: Batch, x: Tensor
    ) -> Tensor:
        """Log-probabilities [n, outputs] for the rows x."""
        near, far, weight = fitted["support_x"], x.flatten(1).float(), fitted.get("support_weight")
        if not len(near):  # what an average over all numberings of the classes gives
            return x.new_full((len(far), net.outputs), -math.log(net.outputs))
        asked = AskedTable(near, fitted["support_y"], far, weight)
        return averaged(opened(self.net), asked, net.outputs, self.orders).to(x.dtype)
