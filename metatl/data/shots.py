"""How many rows a class gives where that depends on how many it has."""

# No postponed annotations: a config's types are read in the module of every member, which may lack these.

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from metatl.data.counter import number
from metatl.fields import Checked
from metatl.types import MetatlError

_SIZE, _WEIGHTS = range(2)


class Shots(Checked, ABC):
    """Query rows of an episode's classes, and the support rows of each, from the classes' sizes.

    A class needs two rows or more; of the smallest class at most half are query rows.
    """

    @abstractmethod
    def support(self, sizes: Sequence[int], query: int, key: int) -> tuple[int, ...]:
        """Support rows of each class, 1 to size - query; key: of whatever is drawn at random."""

    @property
    @abstractmethod
    def said(self) -> str:
        """In the words of a report: `... -shot`."""

    def check(self, way: int) -> None:
        """Raise MetatlError where episodes of so many classes cannot be served."""
        return


def query_of(sizes: Sequence[int], most: int) -> int:
    """Query rows of every class: `most`, and at most half of the smallest class."""
    return min(most, min(sizes) // 2)


@dataclass(frozen=True)
class AsTheyCome(Shots):
    """Every class gives all rows that are no query rows, `most` at most: as unequal as the classes are.

    Args:
        most: support rows of a class at most; all of them for None.
    """

    most: int | None = None

    def __post_init__(self) -> None:
        """Raise MetatlError for classes without support rows."""
        if self.most is not None and self.most < 1:
            raise MetatlError(f"AsTheyCome: most is {self.most}; give 1 or more, or leave it out")

    def support(self, sizes: Sequence[int], query: int, key: int) -> tuple[int, ...]:
        """All of them, or `most`."""
        return tuple(min(size - query, self.most or size) for size in sizes)

    @property
    def said(self) -> str:
        """Up to which number."""
        return "as they come" if self.most is None else f"as they come, at most {self.most}"


@dataclass(frozen=True)
class MetaDataset(Shots):
    """Support sets of a random size in which classes have random shares, near to those in the data.

    With r_c rows of class c that are no query rows, n_c rows in all, and beta, a_c uniform in [0, 1) and
    [log 1/2, log 2):

        size = min(total, sum_c floor(beta min(per_class, r_c) + 1)),   R_c = n_c e^a_c / sum_j n_j e^a_j
        support_c = min(floor(R_c (size - way)) + 1, r_c)

    Source: Triantafillou et al. 2020, arXiv 1903.03096, appendix; with way [5, 50] and query 10 the sampler
    of that benchmark, its class hierarchies (ImageNet's, Omniglot's alphabets) left aside.

    Args:
        total: support rows of an episode at most.
        per_class: rows by which a class makes the support set larger, at most.
    """

    total: int = 500
    per_class: int = 100

    def __post_init__(self) -> None:
        """Raise MetatlError for numbers below 1."""
        if self.total < 1 or self.per_class < 1:
            raise MetatlError(
                f"MetaDataset: total is {self.total}, per_class {self.per_class}; give 1 or more"
            )

    def support(self, sizes: Sequence[int], query: int, key: int) -> tuple[int, ...]:
        """Unequal, one row of every class at least."""
        beta, left = _uniform(number(key, _SIZE)), [size - query for size in sizes]
        drawn = sum(math.floor(beta * min(self.per_class, rows) + 1) for rows in left)
        free = min(drawn, self.total) - len(sizes)
        weights = [
            size * math.exp(math.log(2) * (2 * _uniform(number(key, _WEIGHTS, place)) - 1))
            for place, size in enumerate(sizes)
        ]
        whole = math.fsum(weights)
        shares = zip(weights, left, strict=True)
        return tuple(min(math.floor(weight / whole * free) + 1, rows) for weight, rows in shares)

    @property
    def said(self) -> str:
        """As the benchmark draws them."""
        return "Meta-Dataset's random"

    def check(self, way: int) -> None:
        """Every class has a row at least."""
        if way > self.total:
            raise MetatlError(f"MetaDataset: total is {self.total}, but way is up to {way}: raise total")


def _uniform(word: int) -> float:
    """[0, 1), with 53 random bits."""
    return ((word >> 11) & ((1 << 53) - 1)) * 2.0**-53
