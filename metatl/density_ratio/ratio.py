"""What a density ratio is, and kernels that several of them share."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from metatl.fields import Checked
from metatl.types import MetatlError

FACTORS = (0.3, 0.6, 1.0, 1.5)
"""Of the median distance: widths that kernels are chosen from."""
SEEN = 1000
"""Rows that a median distance is taken over, at most."""


class DensityRatio(Checked, ABC):
    """An estimate of w(x) = p_T(x) / p_S(x) at the rows of S."""

    @abstractmethod
    def weights(self, source: Tensor, target: Tensor) -> Tensor:
        """[n_s] float64, 0 or more, of mean 1: what makes source rows [n_s, d] like target rows [n_t, d]."""


def effective_size(weight: Tensor) -> float:
    """(sum w)^2 / sum w^2 of w [n]: rows of equal weight whose mean would vary as much. Source: Kong 1992."""
    return float(weight.sum() ** 2 / (weight**2).sum())


def normalised(weight: Tensor) -> Tensor:
    """The weights [n] over their mean. Raises MetatlError where all are 0 or one is not finite."""
    if not bool(weight.isfinite().all()) or not float(weight.sum()) > 0:
        raise MetatlError("density ratio: no source row is like the target's; the domains do not overlap")
    return weight / weight.mean()


def checked(source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Both [n, d] in float64. Raises MetatlError for no rows and for other columns."""
    if source.dim() != 2 or target.dim() != 2 or source.shape[1] != target.shape[1]:
        raise MetatlError(
            f"density ratio: rows are {list(source.shape)} and {list(target.shape)}; give [n, d] of the same "
            "columns"
        )
    if not len(source) or not len(target):
        raise MetatlError("density ratio: give one row or more of either domain")
    return source.double(), target.double()


def median_distance(x: Tensor) -> float:
    """The median distance between rows [n, d], over SEEN of them spread evenly; 1 where all are equal.

    Where most pairs are equal, of those that are not: a width of 0 is none.
    """
    at = torch.linspace(0, len(x) - 1, min(len(x), SEEN)).long()
    distances = torch.pdist(x[at])
    middle = float(distances.median()) if len(distances) else 0.0
    apart = distances[distances > 0]
    return middle or (float(apart.median()) if len(apart) else 1.0)


def kernels(
    source: Tensor, target: Tensor, most: int, width: float | None
) -> dict[float, tuple[Tensor, Tensor]]:
    """By width the kernels [n, b] of source and target around at most so many rows of the target.

    The width as given, or FACTORS of the median distance of all rows, checked as `checked` does.
    """
    source, target = checked(source, target)
    centres, unit = centres_of(target, most), median_distance(torch.cat([source, target]))
    widths = [factor * unit for factor in FACTORS] if width is None else [width]
    return {one: (gaussian(source, centres, one), gaussian(target, centres, one)) for one in widths}


def gaussian(x: Tensor, centres: Tensor, width: float) -> Tensor:
    """[n, b]: exp(-|x - c|^2 / (2 width^2))."""
    middle = centres.mean(0)  # far from 0 the distances would be lost in rounding
    return torch.exp(-torch.cdist(x - middle, centres - middle).square() / (2 * width**2))


def centres_of(target: Tensor, most: int) -> Tensor:
    """At most so many rows of the target [n, d], drawn without replacement, the same ones every time."""
    order = torch.randperm(len(target), generator=torch.Generator().manual_seed(0))
    return target[order[:most]]
