"""What a solver is: features and targets to what predicts for other features."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from metatl.fields import Checked
from metatl.types import MetatlError, Params

ABSENT = -1e30
"""Logit of a class without a row: never chosen, and finite, so that a loss stays a number."""


class Linear(NamedTuple):
    """A linear output layer: weight [outputs, d], bias [outputs]."""

    weight: Tensor
    bias: Tensor


class Solver(Checked, ABC):
    """A way to fit an output layer to features [n, d] that stay as they are."""

    batched: ClassVar[bool] = True
    """Whether `fit` and `predict` run under vmap, many tasks at once."""
    real: ClassVar[bool] = False
    """Whether it fits real targets as well as classes."""
    order_free: ClassVar[bool] = True
    """Whether what it fits is the same, but for rounding, in whatever order rows come."""
    spreads: ClassVar[bool] = False
    """Whether `spread` says how far real targets may lie from the outputs."""

    @property
    def rotation_invariant(self) -> bool:
        """Whether predictions depend on features by inner products alone, of `fit`'s and other rows."""
        return False

    @abstractmethod
    def fit(self, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None) -> Any:
        """What `predict` needs, as nested tuples of tensors.

        features: [n, d]; y: class indices [n], several labels [n, outputs] (bool), or real targets [n] or
        [n, outputs]; weight: one number of 0 or more per row [n]: 0 leaves a row out, k counts it k times.
        Raises MetatlError for rows that do not belong together, or targets that the solver has no use for.
        """

    @abstractmethod
    def predict(self, fitted: Any, features: Tensor) -> Tensor:
        """Outputs [n, outputs] for features [n, d]: logits, or real values."""

    def prior(self, size: int, outputs: int) -> Params:
        """Where a prior that is learned over tasks starts, for `size` features; nothing for none."""
        return {}

    def fit_under(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Any:
        """`fit` of features [n, d] under a prior that was learned; the same as `fit` where there is none."""
        return self.fit(features, y, outputs, weight)

    def spread(self, fitted: Any, features: Tensor) -> Tensor:
        """Variance [n, outputs] of a real target around the output, noise included; MetatlError for none."""
        raise MetatlError(f"{type(self).__name__} {NO_SPREAD}")

    def grown(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None, new: Tensor
    ) -> tuple[Tensor, ...]:
        """Outputs [new, outputs], and their spread: row i from the first i mod (n + 1) of features [n, d]."""
        shown = first_rows(len(features), len(new), features)
        shown = shown if weight is None else shown * weight

        def told(rows: Tensor, one: Tensor) -> tuple[Tensor, ...]:
            fitted = self.fit_under(prior, features, y, outputs, rows)
            mean = self.predict(fitted, one.unsqueeze(0))[0]
            real = y.is_floating_point() and self.spreads
            return (mean, self.spread(fitted, one.unsqueeze(0))[0]) if real else (mean,)

        return torch.func.vmap(told)(shown, new)

    def evidence(
        self, prior: Params, features: Tensor, y: Tensor, outputs: int, weight: Tensor | None = None
    ) -> Tensor | None:
        """log p(y | features, prior), 0-d; None where the solver is no such model."""
        return None


NO_SPREAD = "says no spread of real values; BayesianLinear and GaussianProcess do"


def first_rows(rows: int, new: int, like: Tensor) -> Tensor:
    """[new, rows]: 1 for the first i mod (rows + 1) rows of line i, else 0."""
    size = torch.arange(new, device=like.device) % (rows + 1)
    return (torch.arange(rows, device=like.device) < size.unsqueeze(-1)).to(like.dtype)


def check_rows(features: Tensor, y: Tensor, outputs: int, weight: Tensor | None, none: bool = False) -> None:
    """Raise MetatlError unless shapes are features [n, d], y [n] or [n, outputs], weight [n].

    none: whether there may be no row at all.
    """
    if features.dim() != 2 or not features.is_floating_point():
        raise MetatlError(f"features are {list(features.shape)} {features.dtype}; give [n, d] real numbers")
    rows = features.shape[0]
    fits = y.shape == (rows,) and (not y.is_floating_point() or outputs == 1)
    if not fits and not (is_wide(y) and y.shape == (rows, outputs)):
        raise MetatlError(
            f"targets {list(y.shape)} do not fit {rows} rows and {outputs} outputs; give class indices [n] "
            "or real targets [n, outputs]"
        )
    if (rows == 0 and not none) or (weight is not None and weight.shape != (rows,)):
        given = "no row" if rows == 0 else f"weights {list((weight if weight is not None else y).shape)}"
        raise MetatlError(f"{rows} rows and {given}: give at least one row, and one weight for each")


NEEDS_LABELS = "needs class labels; choose RidgeRegression for real targets and several labels"


def check_labels(solver: Solver, y: Tensor) -> None:
    """Raise MetatlError for all but labels [n]: real targets, several labels."""
    if is_wide(y):
        raise MetatlError(f"{type(solver).__name__} {NEEDS_LABELS}")


def is_wide(y: Tensor) -> bool:
    """Whether targets are [n, outputs] (real values, several labels); else they are class indices [n]."""
    return y.is_floating_point() or (y.dtype == torch.bool and y.dim() == 2)


def columns(y: Tensor, outputs: int) -> Tensor:
    """Targets [n, outputs] float64: real values, 1 and -1 for several labels, the one-hot rows of classes."""
    if y.is_floating_point():
        return y.double().reshape(-1, outputs)
    return 2.0 * y.double() - 1.0 if is_wide(y) else one_hot(y, outputs)


def one_hot(y: Tensor, outputs: int) -> Tensor:
    """[n, outputs] float64, 1 where a row has that class; F.one_hot reads values, which vmap cannot."""
    return (y.unsqueeze(-1) == torch.arange(outputs, device=y.device)).double()


def row_weights(features: Tensor, weight: Tensor | None) -> Tensor:
    """One weight per row [n] float64; ones for None."""
    return features.new_ones(features.shape[0], dtype=torch.float64) if weight is None else weight.double()


def as_features(features: Tensor, value: Tensor) -> Tensor:
    """A float64 result [...] of any shape in the features' type, float32 at least."""
    return value.to(torch.promote_types(features.dtype, torch.float32))
