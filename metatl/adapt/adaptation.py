"""What an adaptation is: a way from a transfer and a task's support set to predictions."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor

from metatl.fields import Checked
from metatl.net import Net
from metatl.objectives.predictive import Predictive
from metatl.types import Batch, Episode, MetatlError, Moments, Params, Transfer

NO_SPREAD = "says no spread of real values; ClosedForm with BayesianLinear or GaussianProcess does"

Fitted = Any
"""What a task was fitted to: nested tuples and dicts of tensors, or what an outside estimator keeps."""


class Adaptation(Checked, ABC):
    """A way of using what is carried on a new task: fit it to the support set, then predict.

    Descent moves weights by gradients, ClosedForm solves for an output layer, InContext keeps the support set
    and moves nothing, Estimator hands rows to a learner from outside torch. A new way needs `fit` and
    `predict`; the rest has defaults, and `metatl.testing.check_adaptation` holds it to what it says here.
    """

    moments: Moments = "frozen"
    """Which rows give batch norm its moments in predictions; `batch` is transductive."""
    steps: int = 0
    """Inner steps, as reports name them; 0 for a way that takes none."""
    batch_size: int | None = None
    """Support rows that are looked at together; all of them for None."""
    guided_by_transfer: ClassVar[bool] = False
    """Whether it moves weights under the transfer's guide, which then must cover every weight."""
    reads_support: ClassVar[bool] = False
    """Whether support rows are an input of the net, whose outputs are then a task's own."""
    late: ClassVar[tuple[str, ...]] = ()
    """Fields that `begun` does not read: ways that differ in these alone share it."""

    @abstractmethod
    def fit(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Fitted:
        """What one task's predictions need; key: of whatever is drawn at random on the way."""

    @abstractmethod
    def predict(self, net: Net, transfer: Transfer, fitted: Fitted, support: Batch, x: Any) -> Any:
        """Outputs [n, outputs] for the rows x [n, ...]: logits, or real values; a mapping of several."""

    def begun(self, net: Net, transfer: Transfer, support: Batch, key: int = 0) -> Any:
        """The part of a fit that no `late` field changes."""
        return self.fit(net, transfer, support, key)

    def finished(self, begun: Any) -> Fitted:
        """The fit, from its beginning."""
        return begun

    @property
    def streams(self) -> tuple[str, ...]:
        """Named streams that `fit` reads beside the labelled rows: `source`, `unlabelled`.

        Where there are any, the x and y of its support are mappings of streams, labelled rows under
        `labelled`.
        """
        return ()

    @property
    def unlike(self) -> bool:
        """Whether the source's rows may have other columns than those of the target."""
        return False

    @property
    def needs_labels(self) -> bool:
        """Whether a fit reads targets of support rows, so that some must be labelled."""
        return True

    @property
    def missing(self) -> str:
        """What must be installed before it runs; "" where nothing must."""
        return ""

    @property
    def batched(self) -> bool:
        """Whether `fit` and `predict` run under vmap; other ways run task by task whatever the engine."""
        return True

    @property
    def order_free(self) -> bool:
        """Whether predictions stay the same, but for rounding, when the support rows change places."""
        return False

    @property
    def rotation_invariant(self) -> bool:
        """Whether predictions depend on features by the inner products of all rows alone.

        Then they are the same, but for rounding, in any orthonormal coordinates of a space that has the rows.
        """
        return False

    @property
    def columns(self) -> int | None:
        """The most columns that inputs may have; None where any number goes."""
        return None

    @property
    def carries(self) -> bool:
        """Whether a task's outputs are the rows of the carried output layer, which its labels then number."""
        return False

    @property
    def saved(self) -> "Adaptation":
        """What predicts from the tensors that this one fitted, as a saved model names it."""
        return self

    @property
    def brief(self) -> "Adaptation":
        """The same with as little work as tells whether it takes such rows at all."""
        return self

    def transductive(self, net: Net) -> bool:
        """Whether the prediction for a row may depend on the other rows."""
        return self.moments == "batch" and net.batch_moments

    def check(self, net: Net, transfer: Transfer, real: bool) -> None:
        """Raise MetatlError, before any work, where tasks with `net.outputs` outputs cannot be served.

        real: whether targets are real values rather than classes.
        """
        return

    def given(self, support: Batch, x: Any) -> Any:
        """What a pass of the net is given for the rows x: x alone, unless support rows are inputs too."""
        return x

    def prior(self, net: Net, transfer: Transfer) -> Params:
        """Where what it learns over tasks beside the weights starts, by name; carried as `prior.<name>`."""
        return {}

    def predictive(self, net: Net, transfer: Transfer, episode: Episode, key: int = 0) -> Predictive:
        """Mean and variance of the real targets of the query rows; MetatlError where it says no spread."""
        fitted = self.fit(net, transfer, episode.support, key)
        rows = (fitted, episode.support, episode.query.x)
        return Predictive(*(told(net, transfer, *rows) for told in (self.predict, self.spread)))

    @property
    def spreads(self) -> bool:
        """Whether `spread` says how far real targets may lie from the outputs."""
        return False

    def spread(self, net: Net, transfer: Transfer, fitted: Fitted, support: Batch, x: Any) -> Tensor:
        """Variance [n, outputs] of a real target around the output, noise included; MetatlError for none."""
        raise MetatlError(f"{type(self).__name__} {NO_SPREAD}")

    def learned_output(self, net: Net, transfer: Transfer, episode: Episode) -> Any:
        """What an outer loss is taken of where a net is learned through this way: its answer."""
        return self.answer(net, transfer, episode)

    def read(self, output: Any, y: Any) -> Any:
        """Predictions [n, outputs] from such an output, beside targets like y."""
        return output

    def adapted(self, net: Net, transfer: Transfer, fitted: Fitted) -> Transfer:
        """What is carried, with the weights that one task moved in their place."""
        return transfer

    def trainable(self, net: Net, transfer: Transfer, support: Batch) -> int:
        """Number of the net's weights that a task may move."""
        return 0

    def answer(
        self,
        net: Net,
        transfer: Transfer,
        episode: Episode,
        key: int = 0,
        moving: frozenset[str] | None = None,
    ) -> Any:
        """Outputs for one task's query rows [n, outputs]: fit, then predict; query labels are not read.

        moving: names of the weights whose guide is not zero throughout, where the caller knows them.
        """
        fitted = self.fit(net, transfer, episode.support, key)
        return self.predict(net, transfer, fitted, episode.support, episode.query.x)
