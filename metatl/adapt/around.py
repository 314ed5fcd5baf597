"""An adaptation around another one: what it does not say itself is as the inner one says."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from metatl.adapt.adaptation import Adaptation
from metatl.adapt.descent import Descent
from metatl.net import Net
from metatl.types import Batch, MetatlError, Moments, Params, Transfer


@dataclass(frozen=True)
class Around(Adaptation):
    """The inner adaptation, as it is.

    Args:
        adaptation: the inner one.
    """

    adaptation: Adaptation = Descent()

    @property
    def moments(self) -> Moments:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the inner one has them."""
        return self.adaptation.moments

    @property
    def steps(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the inner one."""
        return self.adaptation.steps

    @property
    def batch_size(self) -> int | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Of the inner one."""
        return self.adaptation.batch_size

    @property
    def guided_by_transfer(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the inner one is."""
        return self.adaptation.guided_by_transfer

    @property
    def reads_support(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As the inner one does."""
        return self.adaptation.reads_support

    @property
    def needs_labels(self) -> bool:
        """As the inner one does."""
        return self.adaptation.needs_labels

    @property
    def batched(self) -> bool:
        """As the inner one is."""
        return self.adaptation.batched

    @property
    def order_free(self) -> bool:
        """As the inner one is."""
        return self.adaptation.order_free

    @property
    def columns(self) -> int | None:
        """As the inner one has them."""
        return self.adaptation.columns

    @property
    def carries(self) -> bool:
        """As the inner one does."""
        return self.adaptation.carries

    @property
    def spreads(self) -> bool:
        """As the inner one does."""
        return self.adaptation.spreads

    @property
    def rotation_invariant(self) -> bool:
        """As the inner one is."""
        return self.adaptation.rotation_invariant

    @property
    def saved(self) -> Adaptation:
        """The same around what the inner one is saved as."""
        return replace(self, adaptation=self.adaptation.saved)

    def transductive(self, net: Net) -> bool:
        """As the inner one is."""
        return self.adaptation.transductive(net)

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """The inner one's, and no way that reads other data's rows."""
        if self.adaptation.streams:
            raise MetatlError(f"{type(self).__name__} goes around an adaptation that reads one task alone")
        self.adaptation.check(net, transfer, real)

    def given(self, support: Batch, x: Any) -> Any:
        """As the inner one is."""
        return self.adaptation.given(support, x)

    def prior(self, net: Net, transfer: Transfer) -> Params:
        """The inner one's."""
        return self.adaptation.prior(net, transfer)

    def adapted(self, net: Net, transfer: Transfer, fitted: Any) -> Transfer:
        """As the inner one says."""
        return self.adaptation.adapted(net, transfer, fitted)

    def trainable(self, net: Net, transfer: Transfer, support: Batch) -> int:
        """As the inner one has them."""
        return self.adaptation.trainable(net, transfer, support)

    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """The inner one's."""
        return self.adaptation.fit(net, transfer, support, key)

    def predict(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Any:
        """The inner one's."""
        return self.adaptation.predict(net, transfer, fitted, support, x)

    def spread(self, net: Net, transfer: Transfer, fitted: Any, support: Batch, x: Any) -> Tensor:
        """Variance [n, outputs], the inner one's."""
        return self.adaptation.spread(net, transfer, fitted, support, x)
