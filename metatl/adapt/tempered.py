"""Outputs divided by a temperature."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from dataclasses import dataclass
from typing import Any, ClassVar

from metatl import tree
from metatl.adapt.around import Around
from metatl.net import Net
from metatl.types import Batch, MetatlError, Transfer


@dataclass(frozen=True)
class Tempered(Around):
    """Logits of the inner adaptation over T: the same classes are named, T > 1 less surely.

    `metatl.evaluation.calibration` finds T on meta-val. Source: Guo et al. 2017, arXiv 1706.04599.

    Args:
        adaptation: the inner one, of classes or several labels.
        temperature: T.
    """

    temperature: float = 1.0

    late: ClassVar[tuple[str, ...]] = ("temperature",)

    def __post_init__(self) -> None:
        """Refuse a temperature that turns classes round."""
        if not self.temperature > 0:
            raise MetatlError(f"Tempered: temperature is {self.temperature}; give a number above 0")

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """Real values have no temperature."""
        super().check(net, transfer, real)
        if real:
            raise MetatlError("Tempered divides logits, and these targets are no classes")

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Any:
        """Outputs / T, [n, outputs]."""
        outputs = self.adaptation.predict(net, transfer, fitted, support, x)
        return tree.apply(lambda leaf: leaf / self.temperature, outputs)
