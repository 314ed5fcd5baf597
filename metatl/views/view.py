"""What a view is: (key, rows) -> rows that mean the same, drawn anew in every step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from random import Random

import torch
from torch import Tensor

from metatl import tree
from metatl.data.counter import bits, first_of_shuffle, number, uniform
from metatl.fields import Checked
from metatl.types import Batch, MetatlError


class View(Checked, ABC):
    """A change of a step's rows that keeps what they mean; with probability 0 it is the identity.

    What it draws is a hash of the key and of a row's place in the batch: no generator is asked, so a resumed
    run draws the same, vmap and recordings follow it, and tasks under one key share their draws.
    """

    soft = False
    """Whether it mixes targets, so that class labels [n] become shares [n, classes] before it is called."""

    def __post_init__(self) -> None:
        """Refuse a probability that is none."""
        at = getattr(self, "probability", 1.0)
        if not 0.0 <= at <= 1.0:
            raise MetatlError(f"{type(self).__name__}: probability is {at}; give a value from 0 to 1")

    @abstractmethod
    def __call__(self, key: int, batch: Batch) -> Batch:
        """The rows as seen under this key; MetatlError for rows that it means nothing for."""


def viewed(views: Sequence[View], key: int, batch: Batch, outputs: int) -> Batch:
    """One view after the other, each under a key of its own; labels become shares if mixed."""
    if any(view.soft for view in views):
        batch = batch._replace(y=tree.apply(lambda y: _shares(y, outputs), batch.y))
    for place, view in enumerate(views):
        batch = view(number(key, place), batch)
    return batch


def check_views(views: Sequence[View], takes_shares: bool) -> None:
    """Raise MetatlError where targets are mixed and no loss takes shares of classes."""
    mixing = [type(view).__name__ for view in views if view.soft]
    if mixing and not takes_shares:
        raise MetatlError(
            f"{mixing[0]} mixes labels, and TaskLoss takes mixed ones for real targets; let terms be "
            "CrossEntropy"
        )


def _shares(y: Tensor, outputs: int) -> Tensor:
    if y.is_floating_point() or y.dim() != 1:
        return y.to(torch.get_default_dtype()) if y.dtype == torch.bool else y
    return (y.unsqueeze(-1) == torch.arange(outputs, device=y.device)).to(torch.get_default_dtype())


def draws(key: int, like: Tensor, *shape: int) -> Tensor:
    """Uniform float64 in [0, 1) of this shape, [*shape], on the device of `like`."""
    places = torch.arange(torch.Size(shape).numel(), device=like.device)
    return uniform(bits(key, places)).view(shape)


def chosen(key: int, like: Tensor, probability: float) -> Tensor:
    """Which rows of `like` [n, ...] an event of this probability befalls: bool, broadcasts to them."""
    return (draws(key, like, len(like)) < probability).view(-1, *[1] * (like.dim() - 1))


def pictures(view: View, x: object) -> Tensor:
    """x as pictures [n, channels, h, w]; raises MetatlError for anything else."""
    if not isinstance(x, Tensor) or x.dim() != 4 or not x.is_floating_point():
        raise MetatlError(f"{type(view).__name__} is a view of pictures [channels, h, w]; the rows are none")
    return x


def partner(key: int, rows: int, device: torch.device) -> Tensor:
    """A random order of the rows [n]: which row each is mixed with."""
    own = torch.full((), number(key, 1), dtype=torch.int64, device=device)
    return first_of_shuffle(own, rows, rows, rows)


def share_of(key: int, alpha: float, probability: float) -> float:
    """lambda ~ Beta(alpha, alpha), one a batch; 1 where the batch is left as it is."""
    draw = Random(key)
    return draw.betavariate(alpha, alpha) if draw.random() < probability else 1.0


def check_alpha(view: View, alpha: float) -> None:
    """Raise MetatlError for a Beta distribution that is none."""
    if not 0 < alpha < float("inf"):
        raise MetatlError(f"{type(view).__name__}: alpha is {alpha}; give a number above 0")


def check_unweighted(view: View, batch: Batch) -> None:
    """Raise MetatlError for rows with weights: one of weight 0 is left out, and must not be mixed in."""
    if batch.weight is not None:
        raise MetatlError(f"{type(view).__name__} mixes rows, and these have weights; leave one of them out")
